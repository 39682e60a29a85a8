"""torchvision's MViT under the names of other libraries: PyTorchVideo's first version and timm's second one, of images, give the same scores."""
import re
import pytest
import torch
from torch.utils._pytree import tree_map
from vidnb.core.testing import test_same
from vidnb.models.windowed import load_windowed
mvit = pytest.importorskip('torchvision.models.video.mvit')

def randomised(model):
    "Every parameter drawn anew; norms near one so that scores stay in range"
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for k,p in model.named_parameters(): p.copy_(torch.randn(p.shape, generator=g)*.2 + (p.dim() == 1 and 'norm' in k and k.endswith('weight')))
    return model.eval()

def joined(state):
    "Queries, keys and values in one matrix, as everybody but PyTorchVideo has them"
    state = dict(state)
    for k in [k for k in state if re.search(r'\.attn\.q\.', k)]:
        state[k.replace('.q.', '.qkv.')] = torch.cat([state.pop(k.replace('.q.', f'.{o}.')) for o in 'qkv'])
    return state

def same(ours, theirs, x, y):
    with torch.no_grad():
        want = theirs(y)
        assert want.std() > .05, 'scores that hardly differ prove nothing'
        test_same(ours.eval()(x), want, eps=1e-4*want.abs().max().item())

def test_pytorchvideo():
    build = pytest.importorskip('pytorchvideo.models.vision_transformers').create_multiscale_vision_transformers
    stages = [[1, 2.], [3, 2.]]
    theirs = build(spatial_size=32, temporal_size=4, patch_embed_dim=16, depth=4, embed_dim_mul=stages, atten_head_mul=stages, pool_q_stride_size=[[1, 1, 2, 2], [3, 1, 2, 2]],
                   pool_kv_stride_adaptive=[1, 4, 4], pool_kvq_kernel=[3, 3, 3], head_num_classes=7)
    theirs, k = randomised(theirs), [3, 3, 3]
    blocks = [mvit.MSBlockConfig(*o) for o in ((1, 16, 32, [], k, [], [1, 4, 4]), (2, 32, 32, k, k, [1, 2, 2], [1, 2, 2]), (2, 32, 64, [], k, [], [1, 2, 2]), (4, 64, 64, k, k, [1, 2, 2], [1, 1, 1]))]
    ours = mvit.MViT((32, 32), 4, blocks, residual_pool=False, residual_with_cls_embed=False, rel_pos_embed=False, proj_after_attn=False, num_classes=7)
    state = {k.replace('head.proj', 'head.1'): v for k,v in joined(theirs.state_dict()).items()}
    assert load_windowed(ours, state) == []
    x = torch.randn(2, 3, 4, 32, 32, generator=torch.Generator().manual_seed(1))
    same(ours, theirs, x, x)

def test_timm():
    "An image network is a video network of one frame whose stem sees only it and whose offsets in time are zero"
    timm_mvit = pytest.importorskip('timm.models.mvitv2')
    cfg = timm_mvit.MultiScaleVitCfg(depths=(1, 2), embed_dim=(8, 16), num_heads=(1, 2), stride_q=((1, 1), (2, 2)), stride_kv_adaptive=(2, 2), use_cls_token=True)
    theirs, k = randomised(timm_mvit.MultiScaleVit(cfg, img_size=(32, 32), num_classes=7)), [1, 3, 3]
    blocks = [mvit.MSBlockConfig(*o) for o in ((1, 8, 8, k, k, [1, 1, 1], [1, 2, 2]), (2, 8, 16, k, k, [1, 2, 2], [1, 1, 1]), (2, 16, 16, k, k, [1, 1, 1], [1, 1, 1]))]
    ours = mvit.MViT((32, 32), 1, blocks, residual_pool=True, residual_with_cls_embed=True, rel_pos_embed=True, proj_after_attn=True, num_classes=7,
                     patch_embed_kernel=(1, 7, 7), patch_embed_stride=(1, 4, 4), patch_embed_padding=(0, 3, 3))
    state, i = {}, -1
    for key,v in theirs.state_dict().items():
        m = re.match(r'stages\.(\d)\.blocks\.(\d)\.(.+)', key)
        key = f'blocks.{[0, 1][int(m[1])] + int(m[2])}.{m[3]}' if m else key.replace('head.fc', 'head.1')
        key = key.replace('shortcut_proj_attn', 'proj')
        state[key] = v[:, :, None] if v.dim() == 4 else v
    state |= {k: torch.zeros_like(v) for k,v in ours.state_dict().items() if k.endswith('rel_pos_t')}
    assert load_windowed(ours, state) == []
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    same(ours, theirs, x[:, :, None], x)
