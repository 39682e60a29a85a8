"""Losses and their gradients against the numbers recorded from the reference (golden group G).

Every case of the group is either tested here or, where it belongs to the localizers, in `test_golden_localizers`."""
from collections import Counter
import numpy as np
import pytest
import torch
from vidnb.core.testing import MissingData, expect_error, golden, test_same
from vidnb.models import heads
from vidnb.models.losses import BCELossWithLogits, CrossEntropyLoss, HVULoss, NLLLoss, OHEMHingeLoss
from vidnb.transforms.compose import build

BUILT = {'CrossEntropyLoss': 20, 'BCELossWithLogits': 8, 'NLLLoss': 4, 'OHEMHingeLoss': 4, 'BaseHead.loss': 4}
LOCALIZERS = {'BinaryLogisticRegressionLoss', 'BMNLoss', 'SSNLoss'}

def kind(name): return name.split('/')[0]

def names(*kinds):
    try: return [n for n in golden('G_losses') if kind(n) in kinds]
    except MissingData: return ['missing']

def case(name): return golden('G_losses')[name]

def close(got, want, c, where):
    "Values within the tolerance that the case states"
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape, f'{where}: shape {got.shape} is not {want.shape}'
    assert want.size
    np.testing.assert_allclose(got, want, rtol=c['rtol'], atol=c['atol'], err_msg=where)

def tensors(c, *needs_grad):
    ts = {k: torch.from_numpy(v) for k,v in c['inputs'].items()}
    for k in needs_grad: ts[k].requires_grad_()
    return ts

def check_grads(loss, ts, c):
    loss.sum().backward()
    assert c['expected']['grads']
    for k,g in c['expected']['grads'].items(): close(ts[k].grad, g, c, f'gradient of {k}')

def test_no_case_is_forgotten():
    count = Counter(map(kind, golden('G_losses')))
    assert {k:n for k,n in count.items() if k not in LOCALIZERS} == BUILT
    assert LOCALIZERS <= count.keys()

@pytest.mark.parametrize('name', names('CrossEntropyLoss', 'BCELossWithLogits', 'NLLLoss'))
def test_loss(name):
    c = case(name)
    loss = build(dict(type=kind(name), **c['params']))
    test_same(loss.loss_weight, c['params']['loss_weight'])
    assert not loss.state_dict()
    if kind(name) == 'NLLLoss':
        ts = tensors(c, 'logits')
        out = loss(ts['logits'].log_softmax(1), ts['label'])
    else:
        ts = tensors(c, 'cls_score')
        out = loss(**ts)
    close(out.detach(), c['expected']['output'], c, name)
    check_grads(out, ts, c)

@pytest.mark.parametrize('name', names('OHEMHingeLoss'))
def test_ohem(name):
    c = case(name)
    ts = tensors(c, 'pred')
    out = OHEMHingeLoss.apply(ts['pred'], ts['labels'], *c['params'].values())
    close(out.detach(), c['expected']['output'], c, name)
    check_grads(out, ts, c)

@pytest.mark.parametrize('name', names('BaseHead.loss'))
def test_head(name):
    "The losses inside heads: smoothing of labels, other losses by name, accuracies for the chosen k"
    c = case(name)
    ts = tensors(c, 'cls_score')
    out = build(c['params']['head']).loss(ts['cls_score'], ts['labels'])
    test_same(sorted(out), sorted(c['expected']['output']))
    for k,v in c['expected']['output'].items(): close(out[k].detach(), v, c, k)
    check_grads(out['loss_cls'], ts, c)

@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize('loss', [CrossEntropyLoss(2., [1., 2, 3]), CrossEntropyLoss(label_smoothing=.1), BCELossWithLogits(class_weight=[1., 2, 3])])
def test_other_dtypes(loss, dtype):
    "The same loss for scores of another width, which it keeps"
    s, l = torch.randn(8, 3), torch.nn.functional.one_hot(torch.arange(8) % 3)
    out = loss(s.to(dtype), l)
    assert out.dtype == dtype
    test_same(out.float(), loss(s.to(dtype).float(), l), eps={torch.float64: 1e-6, torch.bfloat16: .1, torch.float16: .01}[dtype])

def test_compiles_without_its_checks():
    "A compiled loss asks the device nothing, so it is one graph"
    s, l = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    for loss in (CrossEntropyLoss(label_smoothing=.1), CrossEntropyLoss(class_weight=[1., 2, 3])):
        same = torch.compile(loss, backend='eager', fullgraph=True)
        test_same(same(s, l), loss(s, l), eps=1e-6)

def test_losses_travel():
    "A loss with weights survives a copy and a pickle, and its weights follow it to a device"
    import copy, pickle
    s, l = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    loss = CrossEntropyLoss(class_weight=[1., 2, 3])
    for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))): test_same(other(s, l), loss(s, l))
    assert loss.to('meta').class_weight.is_meta

def test_full_hvu():
    "The default categories: 3142 tags; each category's loss is its own binary cross entropy"
    loss = HVULoss(loss_type='individual', loss_weight=.5)
    s, l = torch.randn(2, 3142), (torch.rand(2, 3142) < .01).float()
    out = loss(s, l)
    bce = BCELossWithLogits()
    test_same(out['event_LOSS'], bce(s[:, 1147:1216], l[:, 1147:1216]), eps=1e-6)
    test_same(out['scene_LOSS'], bce(s[:, -248:], l[:, -248:]), eps=1e-6)
    test_same(out['loss_cls'], .5*torch.stack([out[f'{c}_LOSS'] for c in loss.categories]).mean(), eps=1e-6)

def test_seed_losses_say_what_is_wrong():
    s = torch.randn(4, 3)
    for loss in (CrossEntropyLoss(), NLLLoss()):
        with expect_error(ValueError, 'label 3 of sample 1 is out of range; 3 classes have labels 0 to 2'): loss(s, torch.tensor([0, 3, 1, 1]))
        with expect_error(ValueError, 'scores of sample 0 hold NaN'): loss(s*float('nan'), torch.tensor([0, 2, 1, 1]))
        with expect_error(ValueError, 'labels have shape (3,)'): loss(s, torch.tensor([0, 2, 1]))
    with expect_error(ValueError, 'label 2 of sample 0, class 0 is out of range; shares'): BCELossWithLogits()(s, torch.full((4, 3), 2))
