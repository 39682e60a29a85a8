"Folding the batch norms of every architecture keeps its scores."
import pytest, torch
from torch import nn
from vidnb.core.testing import test_same
from vidnb.models.fuse_bn import fuse_conv_bn
from vidnb.models.recognizers import find_arch, tsm

norm = nn.modules.batchnorm._BatchNorm
def norms(model): return sum(isinstance(m, norm) for m in model.modules())

def lived(model):
    "`model` in eval mode with statistics and weights of norms that are nobody's defaults"
    g = torch.Generator().manual_seed(0)
    for m in model.modules():
        if not isinstance(m, norm): continue
        for t,lo,hi in ((m.running_mean,-.2,.2), (m.running_var,.5,1.5), (m.weight,.5,1.), (m.bias,-.2,.2)): t.data.uniform_(lo, hi, generator=g)
    return model.eval()

# architecture -> (arguments, norms that no convolution stands before)
small = dict(tsn_r18=({}, 0), tsm_r18=({}, 0), tsn_r50=(dict(base_channels=8), 0), tsm_r50=(dict(base_channels=8), 0), tin_r50=(dict(base_channels=16), 0),
             slowonly_r50=(dict(base_channels=8), 0), i3d_r50=(dict(base_channels=8), 0), r2plus1d_r18=(dict(base_channels=8), 0), csn_r50=(dict(base_channels=8), 0),
             slowfast_r50=(dict(base_channels=16), 0), tiny3d=({}, 0))

def check(model, left=0, shape=(2,3,8,32,32)):
    model = lived(model)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    fused = fuse_conv_bn(model)
    with torch.no_grad(): a,b = model(x),fused(x)
    test_same((norms(fused), norms(model) > 0), (left, True))
    test_same(b/a.std(), a/a.std(), eps=1e-4)

@pytest.mark.parametrize('name', small)
def test_scores_stay(name):
    kw,left = small[name]
    check(find_arch(name)(7, **kw), left)

def test_interaction_preserved(): check(find_arch('csn_r50')(7, base_channels=8, bottleneck_mode='ip'))
def test_shift_with_pooled_time(): check(tsm(18, 7, temporal_pool=True))
def test_shift_before_whole_blocks(): check(tsm(18, 7, shift_place='block'))
def test_torchvision_clips(): check(find_arch('torchvision:r3d_18')(7))

def test_a_network_that_learns_is_refused():
    with pytest.raises(ValueError, match=r'backbone.conv1.bn is in training mode.*call model.eval'): fuse_conv_bn(find_arch('tsm_r18')(7))
