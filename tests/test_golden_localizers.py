"""Localizers and their losses against the numbers recorded from the reference (golden groups E and G).

Every case of the two groups that belongs to localisation is tested here; the other cases are in `test_golden_models` and `test_golden_losses`."""
from collections import Counter
import numpy as np
import pytest
import torch
from vidnb.core.testing import MissingData, fill_array, golden, test_same
from vidnb.localization.boundary_losses import BMNLoss, BinaryLogisticRegressionLoss, SSNLoss
from vidnb.transforms.compose import build

LOSSES = {'BinaryLogisticRegressionLoss': 4, 'BMNLoss': 4, 'SSNLoss': 4}

def kind(name): return name.split('/')[0]

def names(group, *kinds):
    try: return [n for n in golden(group) if kind(n) in kinds]
    except MissingData: return ['missing']

def close(got, want, case, where):
    "Values within the tolerance that the case states"
    got, want = (np.asarray(o.detach() if hasattr(o, 'detach') else o) for o in (got, want))
    assert got.shape == want.shape, f'{where}: shape {got.shape} is not {want.shape}'
    assert want.size, where
    np.testing.assert_allclose(got, want, rtol=case.get('rtol', 1e-5), atol=case.get('atol', 1e-8), err_msg=where)

def test_no_loss_is_forgotten():
    count = Counter(map(kind, golden('G_losses')))
    assert {k: n for k,n in count.items() if k in LOSSES} == LOSSES

@pytest.mark.parametrize('name', names('G_losses', *LOSSES))
def test_loss(name):
    case = golden('G_losses')[name]
    ts = {k: torch.from_numpy(v) for k,v in case['inputs'].items()}
    grads = case['expected']['grads']
    assert grads
    for k in grads: ts[k].requires_grad_()
    out = dict(BinaryLogisticRegressionLoss=BinaryLogisticRegressionLoss, BMNLoss=BMNLoss, SSNLoss=SSNLoss)[kind(name)]()(**ts, **case['params'])
    want = case['expected']['output']
    if isinstance(want, dict):
        assert sorted(out) == sorted(want)
        for k,v in want.items(): close(out[k], v, case, k)
        loss = sum(o.sum() for o in out.values())
    elif isinstance(want, (list, tuple)):
        assert len(out) == len(want)
        for i,(o,v) in enumerate(zip(out, want)): close(o, v, case, f'output {i}')
        loss = out[0]
    else:
        close(out, want, case, 'output')
        loss = out
    loss.backward()
    for k,g in grads.items(): close(ts[k].grad, g, case, f'gradient of {k}')
