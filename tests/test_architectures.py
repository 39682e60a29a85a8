"""Every architecture that can be had by name, at its own depth and width, through the contract of `check_model`.

The pages do this for narrow or shallow versions; here the named networks themselves are run, on small clips, so it is slow."""
import pytest
import torch
from vidnb.core.testing import _noisy, check_model, dead_parameters, test_same
from vidnb.models.model_cards import CARDS
from vidnb.models.recognizers import find_arch

# networks that take no other clip than theirs get their size as an argument where they have one; an auxiliary classifier takes part in training only
SMALL = dict.fromkeys(CARDS, ((2,3,8,64,64), {})) | dict(
    slowfast_r50=((2,3,32,64,64), {}), slowfast_r50_8x8=((2,3,32,64,64), {}), c3d=((2,3,16,112,112), {}),
    timesformer_b=((2,3,8,64,64), dict(img_size=64)), timesformer_joint_b=((2,3,8,64,64), dict(img_size=64)), timesformer_space_b=((2,3,8,64,64), dict(img_size=64)),
    videomae_s=((2,3,16,64,64), dict(img_size=64)), videomae_b=((2,3,16,64,64), dict(img_size=64)), videomae_l=((2,3,16,64,64), dict(img_size=64)),
    tpn_slowonly_r50=((2,3,8,64,64), dict(aux_weight=0)), tpn_tsm_r50=((2,3,8,64,64), dict(aux_weight=0)),
    mvitv1_b=((2,3,16,224,224), {}), mvitv2_s=((2,3,16,224,224), {}))
BLIND = {'tsn_r50', 'tsn_mobilenet_v2', 'timesformer_space_b', 'c2d_r50'}   # frames, or pairs of them, are averaged
STEEP = {n for n in CARDS if '_nl_' in n}   # a softmax over large products: single precision would be lost in it
UNUSED = {'mvitv2_s'}   # page 568: torchvision's last layer has parameters that nothing depends on

def awake(model):
    "A fresh network whose blocks start as the identity hardly hears its clip: random numbers everywhere, of a size that carries it to the scores"
    g = torch.Generator().manual_seed(0)
    for k,v in model.state_dict().items():
        if not v.is_floating_point(): continue
        n = torch.randn(v.shape, generator=g)
        if v.dim() >= 2: n *= (1.5/v[0].numel())**.5
        elif k.endswith('running_var'): n = 1 + .1*n.abs()
        else: n = .1*n + k.endswith('weight')
        v.copy_(n)
    return model.eval()

def settled(model, x):
    "Running statistics measured where `check_model` looks, so that no sigmoid and no softmax inside is flat"
    seen = _noisy(model)
    norms = lambda m: [o for o in m.modules() if isinstance(o, torch.nn.modules.batchnorm._BatchNorm)]
    for o in norms(seen): o.train().momentum = 1.
    with torch.no_grad(): seen(x)
    for a,b in zip(norms(model), norms(seen)): a.running_mean.copy_(b.running_mean); a.running_var.copy_(b.running_var)
    return model

def scale(model, x):
    "The largest score, which tolerances are shares of"
    with torch.no_grad(): return _noisy(model)(x).abs().max().item()

def test_every_card_has_a_clip(): test_same(sorted(SMALL), sorted(CARDS))

@pytest.mark.slow
@pytest.mark.parametrize('name', sorted(set(CARDS) - UNUSED))
def test_contract(name):
    shape,kw = SMALL[name]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype := torch.float64 if name in STEEP else torch.float32)
    model = settled(awake(find_arch(name)(5, **kw)).to(dtype), x)
    with torch.device('meta'): want = sum(p.numel() for p in find_arch(name)(5, **kw).parameters())
    check_model(model, x, n_out=5, n_params=want, sees_order=name not in BLIND, eps=1e-3*scale(model, x))

@pytest.mark.slow
@pytest.mark.parametrize('name', sorted(UNUSED))
def test_parameters_without_use(name):
    "All but the known parameters of torchvision's MViT learn, and a clip's scores do not depend on its batch"
    x = torch.randn(SMALL[name][0], generator=torch.Generator().manual_seed(1))
    model = awake(find_arch(name)(5))
    dead = dead_parameters(model, x)
    assert dead and all(d.startswith(('backbone.blocks.15.attn.pool_q.', 'backbone.blocks.15.attn.rel_pos_')) for d in dead), dead
    with torch.no_grad(): test_same(model(x[1:])[0], model(x)[1], 1e-3*scale(model, x))
