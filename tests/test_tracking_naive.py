"""Functions of the tracking seed against loops written from their description alone, over many parameters, shapes and kinds of numbers.

Recorded numbers exist for a few parameters each; here every parameter varies, and arrays, tensors and lists are given in turn."""
import math
import cv2
import numpy as np
import pytest
import torch
from vidnb.core.testing import test_same as same
from vidnb.datasets.cocovid import CocoVID
from vidnb.learn.siamrpn_schedules import SiamRPNExpLR, SiamRPNExpParamScheduler
from vidnb.loading.video_samplers import QuotaSampler
from vidnb.metrics.sot import eval_sot_ope
from vidnb.metrics.vot import calc_eao_curve
from vidnb.tracking.linking import InterpolateTracklets
from vidnb.transforms.compose import lookup
from vidnb.transforms.images import crop_image, imrenormalize, stack_batch
from vidnb.transforms.score_maps import gauss_blur, max_last2d

def close(got, want, eps=1e-5):
    got, want = np.asarray(got, float), np.asarray(want, float)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=eps, atol=eps)

# ---- pictures and maps

def sampled(img, x, y, pad):
    "The picture between its pixels, `pad` outside"
    x0, y0, (h, w) = math.floor(x), math.floor(y), img.shape[:2]
    at = lambda i, j: img[j,i].astype(float) if 0 <= i < w and 0 <= j < h else np.asarray(pad, float)
    return sum((1 - abs(x-x0-i))*(1 - abs(y-y0-j))*at(x0+i, y0+j) for i in (0, 1) for j in (0, 1))

@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('dtype', [np.uint8, np.float32, np.float64])
def test_crop(seed, dtype):
    rng = np.random.default_rng(seed)
    h, w = rng.integers(20, 50, 2)
    img = cv2.GaussianBlur(rng.integers(0, 256, (h, w, 3)).astype(np.float32), (0, 0), 3).astype(dtype)
    a, size, pad = rng.uniform(-15, 20, 2), int(rng.integers(1, 25)), rng.integers(0, 256, 3)
    region = np.r_[a, a + rng.uniform(5, 50, 2)]
    step = (region[2:] - region[:2])/size
    want = np.array([[sampled(img, region[0] + u*step[0], region[1] + v*step[1], pad) for u in range(size)] for v in range(size)])
    for r,p in ((region, tuple(pad.tolist())), (region.tolist(), pad), (torch.tensor(region), pad.tolist())):
        got = crop_image(img, crop_region=r, crop_size=size, padding=p)
        assert got.dtype == dtype and np.abs(got.astype(float) - want).max() < 4   # places between pixels are multiples of 1/32 there

@pytest.mark.parametrize('old', [None, 'to_bgr', 'to_rgb'])
@pytest.mark.parametrize('swaps', [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.float64])
def test_another_normalisation(old, swaps, dtype):
    rng = np.random.default_rng(0)
    img = rng.normal(0, 2, (5, 7, 3)).astype(dtype)
    cfg = [dict(mean=rng.uniform(0, 200, 3).tolist(), std=rng.uniform(1, 80, 3).tolist()) for _ in range(2)]
    first = True if old is None else swaps[0]
    x = img.astype(float)*cfg[0]['std'] + cfg[0]['mean']
    for swap in (first, swaps[1]): x = x[...,::-1] if swap else x
    want = (x - cfg[1]['mean'])/cfg[1]['std']
    given = cfg[0] | ({} if old is None else {old: first}), cfg[1] | dict(to_rgb=swaps[1])
    eps = 1e-2 if dtype == np.float16 else 1e-5
    got = imrenormalize(img, *given)
    assert got.dtype == dtype
    close(got, want, eps)
    got = imrenormalize(torch.tensor(img.transpose(2, 0, 1)[None]), *given)
    assert str(got.dtype) == f'torch.{np.dtype(dtype)}'
    close(got, want.transpose(2, 0, 1)[None], eps)

@pytest.mark.parametrize('seed', range(8))
def test_blur(seed):
    rng = np.random.default_rng(seed)
    n, c, h, w = rng.integers(1, 4), rng.integers(1, 4), *rng.integers(1, 10, 2)
    x, half, sigma = rng.normal(0, 1, (n, c, h, w)), rng.integers(0, 6, 2), rng.uniform(.3, 4, 2)
    bells = [np.exp(-np.arange(-k, k+1)**2/(2*s*s)) for k,s in zip(half, sigma)]
    want = np.zeros((n*c, h, w))
    for i,j in np.ndindex(*(2*half + 1)):
        dy, dx = np.array([i, j]) - half
        for y in range(max(0, -dy), min(h, h - dy)):
            for z in range(max(0, -dx), min(w, w - dx)): want[:,y,z] += x.reshape(n*c, h, w)[:,y+dy,z+dx]*bells[0][i]*bells[1][j]/bells[0].sum()/bells[1].sum()
    for kind in (torch.float32, torch.float64):
        for k,s in ((half.tolist(), sigma.tolist()), (torch.tensor(half), torch.tensor(sigma))): close(gauss_blur(torch.tensor(x, dtype=kind), kernel_size=k, sigma=s), want[None])

@pytest.mark.parametrize('kind', [torch.float16, torch.float32, torch.int32, torch.uint8])
@pytest.mark.parametrize('shape', [(1, 1), (4, 3), (2, 3, 5), (2, 2, 4, 4)])
def test_largest_of_maps_with_equal_values(kind, shape):
    x = np.random.default_rng(0).integers(0, 6, shape)
    value, at = max_last2d(input=torch.tensor(x).to(kind))
    assert value.dtype == kind and at.dtype == torch.int64
    for v,p,m in zip(value.reshape(-1), at.reshape(-1, 2).tolist(), x.reshape(-1, *shape[-2:])):
        col = m.max(0).argmax()
        same((float(v), p), (float(m.max()), [int(m[:,col].argmax()), int(col)]))

@pytest.mark.parametrize('divisor', [0, 1, 3, 32])
@pytest.mark.parametrize('kind,value', [(torch.float32, -1.5), (torch.float16, 7), (torch.uint8, 114)])
def test_stack(divisor, kind, value):
    rng = np.random.default_rng(divisor)
    xs = [rng.integers(0, 200, (2, 3, *rng.integers(1, 40, 2))) for _ in range(4)]
    H, W = (math.ceil(max(x.shape[i] for x in xs)/max(divisor, 1))*max(divisor, 1) for i in (2, 3))
    want = np.full((4, 2, 3, H, W), value, float)
    for o,x in zip(want, xs): o[:,:,:x.shape[2],:x.shape[3]] = x
    got = stack_batch([torch.tensor(x).to(kind) for x in xs], pad_size_divisor=divisor, pad_value=value)
    assert got.dtype == kind
    close(got, want)

# ---- boxes

def quad(q):
    if len(q) == 4: return [(q[0] + q[2])/2, (q[1] + q[3])/2, q[2] - q[0], q[3] - q[1]]
    p, w, h = list(zip(q[::2], q[1::2])), max(q[::2]) - min(q[::2]), max(q[1::2]) - min(q[1::2])
    s = math.sqrt(math.dist(p[0], p[1])*math.dist(p[1], p[2])/(w*h))
    return [sum(q[::2])/4, sum(q[1::2])/4, w*s, h*s]

FORMS = dict(bbox_cxcywh_to_x1y1wh=lambda b: [b[0] - b[2]/2, b[1] - b[3]/2, b[2], b[3]], bbox_xyxy_to_x1y1wh=lambda b: [b[0], b[1], b[2] - b[0], b[3] - b[1]],
    bbox_xyxy_to_cxcyah=lambda b: [(b[0] + b[2])/2, (b[1] + b[3])/2, (b[2] - b[0])/(b[3] - b[1]), b[3] - b[1]],
    bbox_cxcyah_to_xyxy=lambda b: [b[0] - b[2]*b[3]/2, b[1] - b[3]/2, b[0] + b[2]*b[3]/2, b[1] + b[3]/2],
    bbox_xywh_to_rel_cxcywh=lambda b: [b[0]/b[2] + .5, b[1]/b[3] + .5, math.log(b[2]), math.log(b[3])],
    bbox_rel_cxcywh_to_xywh=lambda b: [(b[0] - .5)*math.exp(b[2]), (b[1] - .5)*math.exp(b[3]), math.exp(b[2]), math.exp(b[3])], quad2bbox_cxcywh=quad)

@pytest.mark.parametrize('name', FORMS)
@pytest.mark.parametrize('n', [None, 1, 4])
def test_forms_of_boxes(name, n):
    rng, f = np.random.default_rng(0), lookup(name)
    for k in (4, 8) if name.startswith('quad') else (4,):
        b = rng.uniform(1, 3, (*([] if n is None else [n]), k))
        b[...,2:4] += b[...,:2] if 'xyxy' in name or k == 4 and 'quad' in name else 0
        want = np.array([FORMS[name](r) for r in b.reshape(-1, k).tolist()]).reshape(*b.shape[:-1], 4)
        if name.startswith('quad') and n == 1: want = want[0]
        for given in (b, b.tolist(), b.astype(np.float32), torch.tensor(b), torch.tensor(b).half()):
            got = f(given)
            assert isinstance(got, torch.Tensor) == isinstance(given, torch.Tensor) and (isinstance(given, list) or got.dtype == given.dtype)
            close(got, want, .05 if 'float16' in str(getattr(given, 'dtype', '')) else 1e-4)

# ---- schedules and samplers

@pytest.mark.parametrize('seed', range(25))
def test_schedule(seed):
    rng = np.random.default_rng(seed)
    start, stop, begin, endpoint = *rng.uniform(.05, 2, 2), int(rng.integers(0, 6)), bool(rng.integers(2))
    end, length = begin + int(rng.integers(1, 15)), int(rng.integers(1, 5))
    def walk(value, b, e):
        for k in range(e + 4):
            if b <= k < e: value *= start if k == b else (stop/start)**(1/(e - b - endpoint))
            yield value
    def run(make, name, **hyper):
        opt = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], **hyper)
        s = make(opt)
        for _ in range(end*length + 4):
            yield opt.param_groups[0][name]
            s.step()
    how = dict(start_factor=start, end_factor=stop, begin=begin, end=end, endpoint=endpoint)
    for got,want in zip(run(lambda o: SiamRPNExpLR(o, **how), 'lr', lr=.005), walk(.005, begin, end)): same(got/want, 1., eps=1e-9)
    made = lambda o: SiamRPNExpParamScheduler.build_iter_from_epoch(o, 'momentum', epoch_length=length, **how)
    for got,want in zip(run(made, 'momentum', lr=.1, momentum=.8), walk(.8, begin*length, end*length)): same(got/want, 1., eps=1e-9)

@pytest.mark.parametrize('seed', range(25))
def test_quota(seed):
    rng = np.random.default_rng(seed)
    n, quota, start, epoch, world = (int(rng.integers(a, b)) for a,b in ((1, 30), (1, 70), (0, 9), (0, 9), (1, 9)))
    for replacement in (False, True):
        g = torch.Generator().manual_seed(start + epoch)
        order = torch.randint(n, (quota,), generator=g).tolist() if replacement else (torch.randperm(n, generator=g).tolist()*quota)[:quota]
        total = math.ceil(quota/world)*world
        order = (order*total)[:total]
        for r in range(world):
            s = QuotaSampler(range(n), samples_per_epoch=quota, replacement=replacement, seed=start)
            s.rank, s.world_size = r, world
            s.set_epoch(epoch)
            same((len(s), list(s)), (total//world, order[r::world]))

# ---- tracks, files and scores

@pytest.mark.parametrize('seed', range(6))
@pytest.mark.parametrize('least,gap,tau', [(5, 20, None), (0, 100, None), (2, 3, None), (10, 7, None), (5, 20, 10), (2, 9, 4)])
def test_interpolation(seed, least, gap, tau):
    rng, rows = np.random.default_rng(seed), []
    for i in rng.permutation(12)[:5]: rows += [[f, i, *rng.uniform(0, 100, 4), rng.random()] for f in rng.permutation(60)[:rng.integers(1, 30)]]
    a, want = rng.permutation(np.array(rows)), []
    for i in np.unique(a[:,1]):
        t = a[a[:,1] == i][np.argsort(a[a[:,1] == i][:,0])]
        if len(t) <= 2: continue
        between = lambda l, r: [np.r_[l[0] + j, i, l[2:6] + (r[2:6] - l[2:6])*j/(r[0] - l[0]), 1] for j in range(1, int(r[0] - l[0]))]
        more = [o for l,r in zip(t, t[1:]) if len(t) > least and 1 < r[0] - l[0] < gap for o in between(l, r)]
        t = np.array(sorted([*t, *more], key=lambda o: o[0]))
        if tau:
            x, length = t[:,:1], np.clip(tau*np.log(tau**3/len(t)), 1/tau, tau**2)
            K = np.exp(-.5*((x - x.T)/length)**2)
            t[:,2:6] = K @ np.linalg.solve(K + 1e-10*np.eye(len(t)), t[:,2:6])
        want.append(t)
    want = np.concatenate(want)
    close(InterpolateTracklets(least, gap, use_gsi=tau is not None, smooth_tau=tau or 10).forward(a), want[np.lexsort((want[:,1], want[:,0]))], 2e-2 if tau else 1e-9)

@pytest.mark.parametrize('seed', range(5))
def test_cocovid(seed):
    rng, ims = np.random.default_rng(seed), []
    videos = [dict(id=int(v) + 10, name=f'v{v}') for v in rng.permutation(4)]
    for v in videos: ims += [dict(id=100*v['id'] + int(f), video_id=v['id'], frame_id=int(f), file_name=f'{f}.jpg', width=50, height=40) for f in rng.permutation(rng.integers(1, 6))]
    drawn = [(ims[k], int(i)) for k,i in zip(rng.integers(0, len(ims), 20), rng.integers(0, 5, 20))]
    anns = [dict(id=j, image_id=im['id'], video_id=im['video_id'], instance_id=i, category_id=1, bbox=[1, 2, 3, 4], area=12, iscrowd=0) for j,(im,i) in enumerate(drawn)]
    c = CocoVID(dict(videos=videos, images=ims, annotations=anns, categories=[dict(id=1, name='a')]))
    same(c.get_vid_ids(), [v['id'] for v in videos])
    for v in videos:
        same(c.get_img_ids_from_vid(v['id']), [im['id'] for im in sorted(ims, key=lambda o: o['frame_id']) if im['video_id'] == v['id']])
        same(c.get_ins_ids_from_vid(v['id']), list(dict.fromkeys(a['instance_id'] for a in anns if a['video_id'] == v['id'])))
        for ask in (v['id'], [v['id']], np.array([v['id']])): same(c.load_vids(ask), [v])
    for i in {a['instance_id'] for a in anns}: same(c.get_img_ids_from_ins_id(i), [a['image_id'] for a in anns if a['instance_id'] == i])

def iou(a, b):
    x, y = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(x, 0)*max(y, 0)
    return both/((a[2] - a[0])*(a[3] - a[1]) + (b[2] - b[0])*(b[3] - b[1]) - both)

@pytest.mark.parametrize('seed', range(6))
def test_one_pass_evaluation(seed):
    rng, truth, found, seen = np.random.default_rng(seed), [], [], []
    for n in rng.integers(1, 20, 4):
        at = rng.uniform(-5, 60, (n, 2))
        truth.append(np.c_[at, at + rng.uniform(3, 40, (n, 2))]*(rng.random((n, 1)) > .15))
        found.append(truth[-1] + rng.normal(0, 4, (n, 4)))
        found[-1][:,2:] = np.maximum(found[-1][:,2:], found[-1][:,:2] + 1)
        seen.append(rng.random(n) < .8)
    for visible in (None, seen, [s.tolist() for s in seen]):
        rows = []
        for k,(g,p) in enumerate(zip(truth, found)):
            keep = [(a, b) for i,(a,b) in enumerate(zip(g, p)) if visible is None or visible[k][i]]
            c = lambda o: (o[:2] + o[2:])/2
            far = lambda a, b, unit: np.linalg.norm(c(a)/unit - c(b)/unit) if (c(a) > 0).all() else -1
            over = [iou(a, b) if a[2] > a[0] and a[3] > a[1] else -1 for a,b in keep]
            px, rel = [far(a, b, 1) for a,b in keep], [far(a, b, a[2:] - a[:2] + 1e-16) for a,b in keep]
            rows.append([[sum(v > t*.05 for v in over) for t in range(21)], [sum(v <= t for v in px) for t in range(51)], [sum(v <= t/100 for v in rel) for t in range(51)]])
            rows[-1] = [np.array(o)*100/len(g) for o in rows[-1]]
        s, p, n = (np.array(o) for o in zip(*rows))
        for results in (found, [o.tolist() for o in found], [list(o) for o in found]):
            got = eval_sot_ope(results=results, annotations=truth, visible_infos=visible)
            for k,v in dict(ori_success=s, ori_precision=p, ori_norm_precision=n, success=s.mean(), precision=p[:,20].mean(), norm_precision=n[:,20].mean()).items(): close(got[k], v, 1e-9)

@pytest.mark.parametrize('seed', range(10))
def test_curve_of_expected_overlap(seed):
    rng = np.random.default_rng(seed)
    runs = [rng.random(rng.integers(1, 15)).tolist() for _ in range(rng.integers(1, 6))]
    whole = (rng.random(len(runs)) < .5).tolist()
    want = []
    for j in range(max(map(len, runs))):
        part = [[*o, *[0]*20][1:j+1] if j else o[:1] for o,s in zip(runs, whole) if not s or len(o) > j]
        want.append(np.mean([np.mean(o) for o in part]) if part else 0)
    close(calc_eao_curve(runs, whole), want, 1e-9)

@pytest.mark.parametrize('show', [None, 0, 2, 9, -1, -9, [0, 3], [-1], []])
def test_rows_of_videos(show):
    rng, f = np.random.default_rng(0), lookup('format_video_level_show')
    names, scores = [f'v{k}' for k in range(5)], [rng.uniform(0, 100, 5).round(2) for _ in range(3)]
    for by_first in (True, False):
        rows = [[n, *(float(s[k]) for s in scores)] for k,n in enumerate(names)]
        if by_first: rows.sort(key=lambda r: -r[1])
        want = rows if show is None else [rows[k] for k in show] if isinstance(show, list) else rows[:show] if show >= 0 else rows[show:]
        same(f(names, scores, sort_by_first_metric=by_first, show_indices=show), want)
