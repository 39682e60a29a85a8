"X3D against PyTorchVideo's, with random weights handed over by name"
import re
import pytest
import torch
from vidnb.core.testing import test_same
from vidnb.models.recognizers import Recognizer3D
from vidnb.models.x3d import X3D, X3DHead

hub = pytest.importorskip('pytorchvideo.models.hub')

NAMES = [
    (r'blocks\.0\.conv\.conv_t\.',  'backbone.conv1_s.conv.'),  # the peer's two names are the wrong way round
    (r'blocks\.0\.conv\.conv_xy\.', 'backbone.conv1_t.conv.'),
    (r'blocks\.0\.norm\.',          'backbone.conv1_t.bn.'),
    (r'blocks\.5\.pool\.pre_conv\.',  'backbone.conv5.conv.'),
    (r'blocks\.5\.pool\.pre_norm\.',  'backbone.conv5.bn.'),
    (r'blocks\.5\.pool\.post_conv\.', 'cls_head.fc1.'),
    (r'blocks\.5\.proj\.',            'cls_head.fc2.'),
    (r'blocks\.(\d)\.res_blocks\.(\d+)\.', r'backbone.layer\1.\2.'),
    (r'\.branch1_conv\.', '.downsample.conv.'), (r'\.branch1_norm\.', '.downsample.bn.'),
    (r'\.branch2\.conv_a\.', '.conv1.conv.'), (r'\.branch2\.norm_a\.', '.conv1.bn.'),
    (r'\.branch2\.conv_b\.', '.conv2.conv.'), (r'\.branch2\.norm_b\.0\.', '.conv2.bn.'),
    (r'\.branch2\.norm_b\.1\.block\.0\.', '.se_module.fc1.'), (r'\.branch2\.norm_b\.1\.block\.2\.', '.se_module.fc2.'),
    (r'\.branch2\.conv_c\.', '.conv3.conv.'), (r'\.branch2\.norm_c\.', '.conv3.bn.')]

def zoo_key(k):
    "The zoo's name of an entry of PyTorchVideo's X3D"
    for a,b in NAMES: k = re.sub(a, b, k)
    return k

def handed_over(theirs, ours):
    "The state dict of `theirs` for `ours`; a norm that only the zoo has becomes the identity"
    new,own = {zoo_key(k):v for k,v in theirs.items()},ours.state_dict()
    missing = sorted(set(own) - set(new))
    assert missing == sorted(f'backbone.layer1.0.downsample.bn.{n}' for n in ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked'))
    assert set(new) <= set(own)
    same = {n: own[f'backbone.layer1.0.downsample.bn.{n}'] for n in ('weight', 'bias', 'running_mean', 'num_batches_tracked')}
    eps = ours.backbone.layer1[0].downsample.bn.eps
    identity = {**same, 'running_var': torch.full((24,), 1-eps)}
    new |= {f'backbone.layer1.0.downsample.bn.{n}':v for n,v in identity.items()}
    return {k: v.reshape(own[k].shape) for k,v in new.items()}

def shaken(model, seed=0):
    "Random numbers in every entry, also where a fresh network has zeros and ones"
    g = torch.Generator().manual_seed(seed)
    for k,v in model.state_dict().items():
        if k.endswith('running_var'): v.copy_(1 + .1*torch.randn(v.shape, generator=g).abs())
        elif v.is_floating_point(): v.add_((.1 if v.dim() < 2 else .02)*torch.randn(v.shape, generator=g))
    return model.eval()

@pytest.mark.parametrize('name,depth,clip', [('x3d_s', 2.2, (13,160,160)), ('x3d_m', 2.2, (16,224,224)), ('x3d_l', 5., (16,312,312))])
def test_parameters_differ_by_one_norm(name, depth, clip):
    with torch.device('meta'):
        theirs = getattr(hub, name)(pretrained=False)
        ours = Recognizer3D(X3D(gamma_b=2.25, gamma_d=depth), X3DHead(400, 432))
    count = lambda m: sum(p.numel() for p in m.parameters())
    assert count(ours) - count(theirs) == 48

@pytest.mark.parametrize('name,depth,clip', [('x3d_xs', 2.2, (4,160,160)), ('x3d_s', 2.2, (13,160,160))])
def test_same_logits(name, depth, clip):
    theirs = shaken(getattr(hub, name)(pretrained=False, model_num_class=11, head_activation=None))
    ours = Recognizer3D(X3D(gamma_b=2.25, gamma_d=depth), X3DHead(11, 432)).eval()
    ours.load_state_dict(handed_over(theirs.state_dict(), ours))
    x = torch.randn(1, 3, *clip, generator=torch.Generator().manual_seed(1))
    with torch.no_grad(): a,b = ours(x),theirs(x)
    assert b.std() > 1e-2
    test_same(a, b, eps=1e-4*b.abs().max().item())

def test_same_logits_l():
    "The deepest one, on a small clip: its head pools a fixed window, so it is made for that window"
    from pytorchvideo.models.x3d import create_x3d
    kw = dict(input_clip_length=4, input_crop_size=64, model_num_class=11, depth_factor=5., head_activation=None)
    theirs = shaken(create_x3d(**kw))
    ours = Recognizer3D(X3D(gamma_b=2.25, gamma_d=5), X3DHead(11, 432)).eval()
    ours.load_state_dict(handed_over(theirs.state_dict(), ours))
    x = torch.randn(2, 3, 4, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad(): a,b = ours(x),theirs(x)
    test_same(a, b, eps=1e-4*b.abs().max().item())
