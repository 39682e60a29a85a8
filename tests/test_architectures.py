"""Every architecture that can be had by name, at its own depth and width, through the contract of `check_model`.

The pages do this for narrow or shallow versions; here the named networks themselves are run, on small clips, so it is slow."""
import pytest
import torch
from vidnb.core.testing import check_model, dead_parameters, test_same
from vidnb.models.model_cards import CARDS
from vidnb.models.recognizers import find_arch

# networks that take no other clip than theirs get their size as an argument where they have one
SMALL = dict.fromkeys(CARDS, ((2,3,8,64,64), {})) | dict(
    slowfast_r50=((2,3,32,64,64), {}), slowfast_r50_8x8=((2,3,32,64,64), {}), c3d=((2,3,16,112,112), {}),
    timesformer_b=((2,3,8,64,64), dict(img_size=64)), timesformer_joint_b=((2,3,8,64,64), dict(img_size=64)), timesformer_space_b=((2,3,8,64,64), dict(img_size=64)),
    videomae_s=((2,3,16,64,64), dict(img_size=64)), videomae_b=((2,3,16,64,64), dict(img_size=64)), videomae_l=((2,3,16,64,64), dict(img_size=64)),
    mvitv1_b=((2,3,16,224,224), {}), mvitv2_s=((2,3,16,224,224), {}))
BLIND = {'tsn_r50', 'tsn_mobilenet_v2', 'timesformer_space_b', 'c2d_r50'}   # frames, or pairs of them, are averaged
UNUSED = {'mvitv1_b', 'mvitv2_s'}   # page 568: torchvision's last layer has parameters that nothing depends on

def test_every_card_has_a_clip(): test_same(sorted(SMALL), sorted(CARDS))

@pytest.mark.slow
@pytest.mark.parametrize('name', sorted(set(CARDS) - UNUSED))
def test_contract(name):
    torch.manual_seed(0)
    shape,kw = SMALL[name]
    model = find_arch(name)(5, **kw)
    with torch.device('meta'): want = sum(p.numel() for p in find_arch(name)(5, **kw).parameters())
    check_model(model, torch.randn(shape), n_out=5, n_params=want, sees_order=name not in BLIND, eps=1e-3)

@pytest.mark.slow
@pytest.mark.parametrize('name', sorted(UNUSED))
def test_parameters_without_use(name):
    "All but the known parameters of torchvision's MViT learn, and a clip's scores do not depend on its batch"
    torch.manual_seed(0)
    shape,_ = SMALL[name]
    model,x = find_arch(name)(5).eval(),torch.randn(shape)
    dead = dead_parameters(model, x)
    assert dead and all('blocks' in d for d in dead) and len(dead) <= 4, dead
    with torch.no_grad(): test_same(model(x[1:])[0], model(x)[1], 1e-3)
