"imrenormalize, crop_image and stack_batch against the numbers of the reference"
import numpy as np
import pytest
import torch
from vidnb.core.testing import MissingData, golden, test_same as same
from vidnb.transforms.compose import lookup

KINDS = {'crop_image': 4, 'imrenormalize': 4, 'stack_batch': 4}
def cases():
    try: return {n:c for n,c in golden('F_tracking').items() if n.split('/')[0] in KINDS}
    except MissingData: return {}
CASES = cases()

def test_every_case_is_there():
    if not CASES: golden('F_tracking')
    same({k: sum(n.split('/')[0] == k for n in CASES) for k in KINDS}, KINDS)

@pytest.mark.parametrize('name', CASES or ['missing'])
def test_case(name):
    c = CASES[name] if CASES else golden('F_tracking')[name]
    tensors = 'tensor' in name or name.startswith('stack')
    as_given = lambda v: [torch.as_tensor(o) for o in v] if isinstance(v, list) else torch.as_tensor(v) if tensors else v
    got = lookup(name.split('/')[0])(**{k: as_given(v) for k,v in c['inputs'].items()}, **c['params'])
    assert isinstance(got, torch.Tensor) == tensors
    want = c['expected']
    if isinstance(want, dict): want, = want.values()
    same(np.asarray(got), np.asarray(want), c.get('atol', 1e-4))
