"""Scores, features and state dicts of the zoo's models against the numbers recorded from the reference.

A golden model is built from its dict, filled by the rule of `fill_array` and run in eval mode. Every case of the group is either
tested here or named in `LOCALIZERS`, which are in `test_golden_localizers`, so that a case that is added is noticed."""
import numpy as np
import pytest
import torch
from vidnb.core.testing import fill_array, golden, test_same
from vidnb.models.backbones2d import ResNet
from vidnb.models.resnet3d import ResNet3d
from vidnb.transforms.compose import build

RECOGNIZERS = ['Recognizer2D_ResNet50_TSNHead', 'Recognizer2D_ResNet18_TSNHead_prob', 'Recognizer2D_ResNetTSM50_TSMHead',
               'Recognizer2D_ResNetTSM50_temporal_pool', 'Recognizer3D_ResNet3d50_I3DHead', 'Recognizer3D_ResNet3dSlowOnly50_I3DHead_prob_2clips',
               'Recognizer3D_ResNet3d18_I3DHead_score_3clips', 'Recognizer3D_ResNet3dSlowOnly50flow_I3DHead', 'Recognizer3D_ResNet2Plus1d34_I3DHead',
               'Recognizer3D_ResNet3dCSN50ir_I3DHead', 'Recognizer3D_SlowFast50_SlowFastHead', 'Recognizer2D_ResNetTIN50_TSMHead',
               'Recognizer2D_ResNetTSM50_NL_TSMHead', 'Recognizer2D_MobileNetV2_TSNHead', 'Recognizer2D_MobileNetV2TSM_TSMHead',
               'Recognizer3D_SlowOnly_TPN_TPNHead']
INFLATED = {'inflate/ResNet50_2d': ResNet, 'inflate/ResNet3d50': ResNet3d}
LOCALIZERS = {'BMN/0', 'BMN/1', 'TEM/0', 'TEM/1', 'PEM/0', 'PEM/1',
              'SSNHead/train/0', 'SSNHead/test/0', 'SSNHead/train/1', 'SSNHead/test/1', 'SSN/forward_test/0'}

def close(got, want, case, where):
    "Values within the tolerance that the case states"
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert got.shape == want.shape, f'{where}: shape {got.shape} is not {want.shape}'
    np.testing.assert_allclose(got, want, rtol=case['rtol'], atol=case['atol'], err_msg=where)

def check_summary(x, want, case, where):
    "A tensor against the shape, moments and 48 spread values that were kept of it"
    x = x.detach().numpy()
    test_same(list(x.shape), list(want['shape']), where=where)
    flat = x.astype(np.float64).ravel()
    for k,v in dict(mean=flat.mean(), abs_mean=np.abs(flat).mean(), std=flat.std()).items(): close(v, want[k], case, f'{where}.{k}')
    n = len(want['sample'])
    close(flat[np.arange(n)*7919 % flat.size], want['sample'], case, f'{where}.sample')

def fill(model):
    "Golden parameters; the sum of their absolute values"
    state = {k: torch.from_numpy(fill_array(k, v.shape)) for k,v in model.state_dict().items()}
    model.load_state_dict(state)
    return sum(v.double().abs().sum().item() for v in state.values())

def test_every_case_is_known(): test_same({k:True for k in golden('E_models')}, {k:True for k in [*RECOGNIZERS, *INFLATED, *LOCALIZERS]})

@pytest.mark.parametrize('name', RECOGNIZERS)
def test_recognizer(name):
    case = golden('E_models')[name]
    model = build(case['params']['model']).eval()
    test_same({k: list(v.shape) for k,v in model.state_dict().items()}, dict(case['state_dict']))
    test_same(fill(model), case['state_dict_abs_sum'], eps=1e-3)
    imgs, want = torch.from_numpy(case['inputs']['imgs']), case['expected']
    with torch.no_grad():
        close(model(imgs, return_loss=False), want['cls_score'], case, 'cls_score')
        got,maps = model.extract_feat(imgs.flatten(0, 1)),want['backbone_features']
        if not isinstance(got, tuple): got,maps = [got],[maps]
        for i,(x,w) in enumerate(zip(got, maps, strict=True)): check_summary(x, w, case, f'backbone_features[{i}]')

@pytest.mark.parametrize('name', INFLATED)
def test_pretrained(name):
    "A backbone filled from a torchvision checkpoint, inflated where it is 3D"
    case = golden('E_models')[name]
    ckpt = {k: torch.from_numpy(fill_array('torchvision.'+k, s)) for k,s in case['inputs']['ckpt_keys']}
    model = build(case['params']['backbone'] | dict(pretrained=ckpt)).eval()
    assert type(model) is INFLATED[name]
    sums = {k: v.double().abs().sum().item() for k,v in model.state_dict().items()}
    for k,want in case['expected']['key_abs_sums']: test_same(sums[k], float(want), eps=1e-4*max(1, want), where=k)
    with torch.no_grad(): check_summary(model(torch.from_numpy(case['inputs']['imgs'])), case['expected']['features'], case, 'features')
