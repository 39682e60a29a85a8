"""BSN, BMN and SSN across pages: checkpoints of the zoo's layout, whole training steps, what they refuse, other devices and dtypes."""
import copy
import pickle
import numpy as np
import pytest
import torch
from vidnb.core.testing import expect_error, test_same
from vidnb.interop.checkpoints import load_checkpoint, save_checkpoint
from vidnb.localization.bmn import BMN, bmn_anet, decode_maps, dense_mask
from vidnb.localization.bsn import PEM, TEM, bsn_batch, bsn_candidates, bsn_proposals
from vidnb.localization.ssn import SSN, SSNHead
from vidnb.models.backbones2d import ResNet
from vidnb.transforms.compose import build

NMS = dict(soft_nms_alpha=.4, soft_nms_low_threshold=.5, soft_nms_high_threshold=.9, post_process_top_k=20)
SMALL = dict(temporal_dim=16, boundary_ratio=.5, num_samples=6, num_samples_per_bin=3, feat_dim=8, hidden_dim_1d=12, hidden_dim_2d=6, hidden_dim_3d=10) | NMS

def tem(**kw): return TEM(**dict(temporal_dim=16, boundary_ratio=.1, tem_feat_dim=8, tem_hidden_dim=12, tem_match_threshold=.5) | kw)
def pem(**kw): return PEM(**dict(pem_feat_dim=32, pem_hidden_dim=12, pem_u_ratio_m=1, pem_u_ratio_l=2, pem_high_temporal_iou_threshold=.6, pem_low_temporal_iou_threshold=.2) | NMS | kw)
def ssn(k=3, **kw): return SSN(ResNet(18, None), SSNHead(in_channels=512, num_classes=k), **kw)
def metas(n): return [dict(video_name=f'v{i}', duration_frame=1000+i, duration_second=40.) for i in range(n)]
def shaken(m, std=.1):
    with torch.no_grad():
        for p in m.parameters(): p.add_(std*torch.randn_like(p))
    return m.eval()

# ---- checkpoints

def zoo_file(model, path, version='1.x', **extra):
    "A file as MMAction2 publishes it"
    state = model.state_dict()
    if isinstance(model, BMN): state = dict(sample_mask=model.sample_mask, **({'bm_mask': model.bm_mask} if version == '1.x' else {}), **state)
    torch.save(dict(meta=dict(mmaction_version='0.24.1', epoch=9), state_dict=state | extra), path)
    return path

@pytest.mark.parametrize('version', ['0.x', '1.x'])
def test_bmn_of_the_zoo(version, tmp_path):
    theirs, mine, x = shaken(BMN(**SMALL)), BMN(**SMALL).eval(), torch.randn(2, 8, 16)
    report = load_checkpoint(mine, zoo_file(theirs, tmp_path/'bmn.pth', version))
    assert 'BMN' in report.source and not report.missing
    test_same(sorted(report.left), sorted(['sample_mask', 'bm_mask'][:1 + (version == '1.x')]))
    for a,b in zip(mine._forward(x), theirs._forward(x)): test_same(a, b)

def test_bmn_with_another_mask(tmp_path):
    "Weights that fit, and a mask that says they were trained with other samples"
    theirs, mine = shaken(BMN(**SMALL | dict(boundary_ratio=.3))), BMN(**SMALL)
    fn, before = zoo_file(theirs, tmp_path/'bmn.pth'), {k: v.clone() for k,v in mine.state_dict().items()}
    with expect_error(ValueError, 'bmn.pth: sample_mask of the checkpoint is not that of a BMN with'): load_checkpoint(mine, fn)
    test_same(mine.state_dict(), before)
    load_checkpoint(mine, fn, strict=False)
    test_same(mine.state_dict(), theirs.state_dict())

def test_bmn_of_another_length(tmp_path):
    with expect_error(ValueError, 'its shape is (20, 2400), not (16, 1536)'): load_checkpoint(BMN(**SMALL), zoo_file(BMN(**SMALL | dict(temporal_dim=20)), tmp_path/'bmn.pth'))

def test_bmn_saved_for_others(tmp_path):
    "A file with its mask for the zoo's loader, which is strict about names; without it the file is smaller by the mask"
    small, large = (save_checkpoint(BMN(**SMALL, save_mask=m), tmp_path/f'{m}.pth', 'mmaction2') for m in (False, True))
    state = torch.load(large, weights_only=True)
    state = state.get('state_dict', state)
    test_same(state['sample_mask'], dense_mask(16, 6, 3, .5))
    assert large.stat().st_size - small.stat().st_size > 4*16*6*16*16
    for fn in (small, large): load_checkpoint(BMN(**SMALL), fn)

@pytest.mark.parametrize('make', [tem, pem, ssn])
def test_bsn_and_ssn_of_the_zoo(make, tmp_path):
    theirs, mine = shaken(make()), make().eval()
    extra = {'cls_head.test_fc.weight': torch.zeros(9, 512), 'cls_head.test_fc.bias': torch.zeros(9)} if make is ssn else {}
    report = load_checkpoint(mine, zoo_file(theirs, tmp_path/'net.pth', **extra))
    test_same(mine.state_dict(), theirs.state_dict())
    assert not report.missing and set(report.left) == set(extra) and make.__name__.upper() in report.source

def test_wrong_files(tmp_path):
    fn = zoo_file(tem(), tmp_path/'tem.pth')
    with expect_error(ValueError, 'tem.pth: is MMAction2 (TEM)'):  load_checkpoint(BMN(**SMALL), fn)
    with expect_error(ValueError, 'tem.pth: is MMAction2 (TEM)'):  load_checkpoint(tem(tem_hidden_dim=13), fn)
    with expect_error(ValueError, '3 classes, the model 4'):       load_checkpoint(ssn(4), zoo_file(ssn(3), tmp_path/'ssn.pth'))

def test_published_sizes():
    model = bmn_anet()
    assert sum(p.numel() for p in model.parameters()) == 36_978_564 - 32_000_000 and len(model.state_dict()) == 24
    assert tuple(model.state_dict()['x_3d_p.0.weight'].shape) == (512, 256, 32, 1, 1)

# ---- the model as an object

def test_bmn_travels():
    "Copies, pickles, other devices and dtypes; nothing of the sparse mask travels with it"
    model, x = shaken(BMN(**SMALL)), torch.randn(2, 8, 16)
    want = model._forward(x)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))): test_same(other._forward(x), want)
    assert len(pickle.dumps(model)) < 4*16*6*16*16
    wide = copy.deepcopy(model).double()._forward(x.double())
    for a,b in zip(wide, want): test_same(a.float(), b, eps=1e-4)
    with torch.autocast('cpu', dtype=torch.bfloat16): got = model._forward(x)
    for a,b in zip(got, want): test_same(a.float(), b, eps=.05)
    assert {str(v.device) for v in copy.deepcopy(model).to('meta').state_dict().values()} == {'meta'}

def test_bmn_compiles():
    "Compiled, but for the sparse product, with the same maps and gradients"
    model, x = shaken(BMN(**SMALL)), torch.randn(2, 8, 16)
    grads = []
    for f in (model._forward, torch.compile(model._forward, backend='aot_eager')):
        model.zero_grad()
        out = f(x)
        sum(o.sum() for o in out).backward()
        grads.append([*out, *(p.grad.clone() for p in model.parameters())])
    for a,b in zip(*grads): test_same(a, b, eps=1e-4)

def test_bmn_gradients_by_differences():
    "Autograd through the sparse product against differences"
    torch.manual_seed(1)
    model, x = shaken(BMN(**SMALL)).double(), torch.randn(1, 8, 16, dtype=torch.float64)
    weigh = torch.randn_like(model._forward(x)[0])
    def score(): return (model._forward(x)[0]*weigh).sum()
    for p in (model.x_3d_p[0].weight, model.x_1d_p[0].weight):   # behind the product, and in front of it
        model.zero_grad()
        score().backward()
        i = tuple(int(o) for o in (p.grad.abs() == p.grad.abs().max()).nonzero()[0])
        g, h = p.grad[i].item(), 3e-3   # the product itself is in single precision, whatever the network is in
        with torch.no_grad():
            p[i] += h; up = score().item()
            p[i] -= 2*h; down = score().item()
            p[i] += h
        assert abs((up - down)/2/h - g) < .01*abs(g), (g, (up - down)/2/h)

@pytest.mark.parametrize('args', [(1, 2, 1, .5), (3, 1, 2, 0.), (7, 5, 1, .25), (10, 4, 3, 1.), (13, 8, 3, .5)])
def test_odd_settings(args):
    "Any number of moments, samples and points: the network on the dense mask gives the same"
    t, n, k, ratio = args
    model, x = shaken(BMN(**SMALL | dict(temporal_dim=t, num_samples=n, num_samples_per_bin=k, boundary_ratio=ratio))), torch.randn(2, 8, t)
    with torch.no_grad():
        h = model.x_1d_p(model.x_1d_b(x))
        z = (h.reshape(-1, t) @ model.sample_mask).view(2, -1, n, t, t)
        test_same(model._forward(x)[0], model.x_2d_p(torch.relu(model.x_3d_p[0](z)).squeeze(2)), eps=1e-5)
    found = model(x, video_meta=metas(2))
    assert [len(f['proposal_list']) > 0 for f in found] == [t > 1]*2
    assert torch.isfinite(model(x, [[[0., 1.]], []])['loss'])

# ---- what goes wrong

def test_videos_without_truth():
    "A batch without one action has a finite loss and finite gradients, in all networks"
    x = torch.randn(2, 8, 16)
    for model in (BMN(**SMALL), tem()):
        out = model(x, [[], np.zeros((0, 2))])
        sum(v for k,v in out.items() if 'loss' in k).backward()
        assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    assert pem()([torch.randn(4, 32)], [torch.zeros(4)])['loss'].item() == 0

@pytest.mark.parametrize('make', [lambda: BMN(**SMALL), tem])
def test_bad_input(make):
    model, x, name = make(), torch.randn(2, 8, 16), type(make()).__name__
    with expect_error(ValueError, f'{name} takes 8 channels; got 9'):   model(torch.randn(2, 9, 16))
    with expect_error(ValueError, f'{name} takes 16 moments; got 17'):  model(torch.randn(2, 8, 17))
    with expect_error(ValueError, 'got shape (8, 16)'):                 model(x[0])
    with expect_error(ValueError, 'features of video 1'):               model(torch.stack([x[0], x[1]/0]))
    with expect_error(ValueError, 'span 0 of video 1 is [0.5, 0.25]; it ends before it starts'): model(x, [[], [[.5, .25]]])
    with expect_error(ValueError, 'divide seconds by its duration'):    model(x, [[], [[3., 12.]]])
    with expect_error(ValueError, 'true spans of 1 videos for 2 videos'): model(x, [[]])
    with expect_error(ValueError, '1 video_meta for 2 videos'):         model(x, video_meta=metas(1))
    zero = make()(x, [[[.5, .5]], [[0., 1.]]])
    assert all(torch.isfinite(v).all() for v in zero.values())

def test_padded_truth_is_a_list():
    "True spans as a tensor with rows of NaN are the list of true spans"
    x, rows = torch.randn(2, 8, 16), [[[.1, .4], [.5, .9]], [[.2, .3]]]
    padded = torch.tensor([rows[0], [*rows[1], [float('nan')]*2]], dtype=torch.float64)
    for model in (BMN(**SMALL), tem()):
        for a,b in zip(model.generate_labels(padded), model.generate_labels(rows)): test_same(a, b)

def test_build_by_name():
    for kw in (dict(type='BMN', **SMALL), dict(type='TEM', temporal_dim=4, boundary_ratio=.1, tem_feat_dim=2, tem_hidden_dim=3, tem_match_threshold=.5)): build(kw)
    with expect_error(ValueError, "BMN takes no parameter 'hidden'"): build(dict(type='BMN', **SMALL, hidden=3))

# ---- the whole way

def test_bsn_trains_and_finds():
    "Two networks trained on a video with two actions find both"
    torch.manual_seed(0)
    truth, t = [[.2, .45], [.7, .85]], np.arange(50)/50 + .01
    x = torch.tensor(np.stack([sum(((t > s) & (t < e))*1. for s,e in truth)]*8), dtype=torch.float32)[None]
    first, second = tem(temporal_dim=50, conv3_ratio=1), pem(fc1_ratio=1, fc2_ratio=1)
    for model,args in ((first, dict(raw_feature=x, gt_bbox=[truth])), (second, None)):
        if args is None: args = {k: v for k,v in bsn_batch(bsn_candidates(first._forward(x), truth=[truth])).items() if k in ('bsp_feature', 'reference_temporal_iou')}
        opt = torch.optim.Adam(model.parameters(), .01)
        for _ in range(80):
            loss = model.train_step(args)['loss']
            opt.zero_grad(); loss.backward(); opt.step()
    best = bsn_proposals(first, second, x, [dict(video_name='v', duration_frame=1600, duration_second=1.)])[0]['proposal_list'][:2]
    for (s, e), p in zip(truth, sorted(b['segment'] for b in best)):
        a, b = p
        assert (min(e, b) - max(s, a))/(max(e, b) - min(s, a)) > .8, (truth, best)

def test_decoding_knows_no_other_video():
    maps = torch.rand(4, 2, 12, 12), torch.rand(4, 12), torch.rand(4, 12)
    for i,rows in enumerate(decode_maps(*maps)): test_same(rows, decode_maps(*(m[i:i+1] for m in maps))[0])
