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

def fill(model, case):
    "Golden parameters; the sum of their absolute values"
    state = {k: torch.from_numpy(fill_array(k, v.shape)) for k,v in model.state_dict().items()}
    model.load_state_dict(state)
    test_same(sum(v.double().abs().sum().item() for v in state.values()), case['state_dict_abs_sum'], eps=1e-3)
    return model

def same_proposals(got, want, case):
    assert len(got) == len(want) > 0
    close([g['score'] for g in got], [w['score'] for w in want], case, 'scores')
    close([g['segment'] for g in got], [w['segment'] for w in want], case, 'segments')

MODELS = {'TEM': 2, 'PEM': 2, 'BMN': 2, 'SSNHead': 4, 'SSN': 1}

def test_no_model_is_forgotten():
    count = Counter(map(kind, golden('E_models')))
    assert {k: n for k,n in count.items() if k in MODELS} == MODELS

@pytest.mark.parametrize('name', names('E_models', 'BMN'))
def test_bmn(name):
    case = golden('E_models')[name]
    model, ins, want = build(case['params']['model']).eval(), case['inputs'], case['expected']
    shapes = {k: list(v.shape) for k,v in model.state_dict().items()}
    assert shapes == {k: s for k,s in case['state_dict'] if k not in case['state_dict_not_filled']}
    assert list(model.sample_mask.shape) == dict(case['state_dict'])['sample_mask']
    fill(model, case)
    x = torch.from_numpy(ins['raw_feature'])
    with torch.no_grad(): maps = model._forward(x)
    for got,key in zip(maps, ('confidence_map', 'start', 'end'), strict=True): close(got, want[key], case, key)
    test_same(model.sample_mask, torch.from_numpy(want['sample_mask']))
    test_same(model.bm_mask, torch.from_numpy(want['bm_mask']))
    for key in ('match_map', 'anchors_tmins', 'anchors_tmaxs'): test_same(getattr(model, key), want[key], eps=1e-12)
    for got,key in zip(model.generate_labels([torch.from_numpy(o) for o in ins['gt_bbox']]), ('confidence', 'start', 'end'), strict=True):
        close(got, want['labels'][key], case, key)
    metas = list(ins['video_meta'])*2
    found = model(x, video_meta=metas, return_loss=False)
    assert len(found) == 2 and [f['video_name'] for f in found] == [m['video_name'] for m in metas]
    for w in want['forward_test_first_sample']: same_proposals(found[0]['proposal_list'], w['proposal_list'], case)
    state = model.state_dict() | dict(sample_mask=torch.from_numpy(want['sample_mask']))
    model.load_state_dict(state)

@pytest.mark.parametrize('name', names('E_models', 'TEM'))
def test_tem(name):
    case = golden('E_models')[name]
    model, ins, want = build(case['params']['model']).eval(), case['inputs'], case['expected']
    test_same({k: list(v.shape) for k,v in model.state_dict().items()}, dict(case['state_dict']))
    fill(model, case)
    x, gt = torch.from_numpy(ins['raw_feature']), [torch.from_numpy(o) for o in ins['gt_bbox']]
    close(model._forward(x), want['tem_output'], case, 'tem_output')
    for got,key in zip(model.generate_labels(gt), ('action', 'start', 'end'), strict=True): close(got, want['labels'][key], case, key)
    losses = model(x, gt_bbox=gt, return_loss=True)
    assert sorted(losses) == sorted(want['losses'])
    for k,v in want['losses'].items(): close(losses[k], v, case, k)
    found = model(x, video_meta=ins['video_meta'], return_loss=False)
    for (name,table),(n,t) in zip(found, want['forward_test'], strict=True):
        assert name == n and table.dtype == t.dtype
        close(table, t, case, 'forward_test')

@pytest.mark.parametrize('name', names('E_models', 'PEM'))
def test_pem(name):
    case = golden('E_models')[name]
    model, ins, want = build(case['params']['model']).eval(), case['inputs'], case['expected']
    test_same({k: list(v.shape) for k,v in model.state_dict().items()}, dict(case['state_dict']))
    fill(model, case)
    args = {k: torch.from_numpy(v) for k,v in ins.items() if k != 'video_meta'}
    close(model._forward(args['bsp_feature']), want['pem_output'], case, 'pem_output')
    found = model(**args, video_meta=ins['video_meta'], return_loss=False)
    assert [f['video_name'] for f in found] == [w['video_name'] for w in want['forward_test']]
    for f,w in zip(found, want['forward_test']): same_proposals(f['proposal_list'], w['proposal_list'], case)
    twice = model(**{k: torch.cat([v, v]) for k,v in args.items()}, video_meta=list(ins['video_meta'])*2, return_loss=False)
    assert twice == found*2, 'a batch of two videos gives what each gives alone'

@pytest.mark.parametrize('name', names('E_models', 'SSNHead'))
def test_ssn_head(name):
    case = golden('E_models')[name]
    head, ins, want = build(case['params']['head']).eval(), {k: torch.from_numpy(v) for k,v in case['inputs'].items()}, case['expected']
    test_same({k: list(v.shape) for k,v in head.state_dict().items()}, dict(case['state_dict']))
    fill(head, case)
    if '/train/' in name:
        got = dict(zip(('activity_scores', 'completeness_scores', 'bbox_preds'), head((ins['x'], ins['proposal_scale_factor']))))
    else:
        assert head.prepare_test_fc(head.consensus.num_multipliers)
        got = dict(zip(('test_scores', 'activity_scores', 'completeness_scores', 'bbox_preds'), head((ins['x'], ins['proposal_tick_list'], ins['scale_factor_list']), test_mode=True)))
        got |= dict(test_fc_weight=head.test_fc.weight, test_fc_bias=head.test_fc.bias)
    assert sorted(got) == sorted(want)
    for k,v in want.items(): close(got[k], v, case, k)

@pytest.mark.parametrize('name', names('E_models', 'SSN'))
def test_ssn(name):
    case = golden('E_models')[name]
    model, ins, want = build(case['params']['model']).eval(), {k: torch.from_numpy(v) for k,v in case['inputs'].items()}, case['expected']
    test_same({k: list(v.shape) for k,v in model.state_dict().items()}, dict(case['state_dict']))
    fill(model, case)
    found = model(**ins, return_loss=False)
    assert len(found) == 1 and sorted(found[0]) == sorted(want)
    for k,v in want.items(): close(found[0][k], v, case, k)
