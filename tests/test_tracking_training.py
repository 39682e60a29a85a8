"Samplers, schedules, callbacks, metrics and linking of trackers: recorded numbers, two real processes, and faults"
import os
from pathlib import Path
import cv2
import numpy as np
import pandas as pd
import pytest
import torch
import torch.distributed as dist
import torch.nn as nn
import together
from children import Child
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.optimizer import SGD
from vidnb.core.structures import InstanceData, TrackDataSample
from vidnb.core.testing import expect_error, golden, shared_data, test_same as same
from vidnb.datasets.motchallenge import read_mot
from vidnb.datasets.sot_datasets import BaseSOTDataset
from vidnb.datasets.sot_sequences import SOTSequence
from vidnb.learn.siamrpn_schedules import SiamRPNExpLR, TorchSchedule, siamrpn_schedulers
from vidnb.learn.tracking_callbacks import SiamRPNBackboneUnfreezeHook, TrackVisualizationHook, YOLOXModeSwitchHook
from vidnb.learn.video_metrics import VideoCollector, scene_of_frames, video_metrics
from vidnb.loading.video_samplers import EntireVideoBatchSampler, QuotaSampler, VideoSampler
from vidnb.metrics.mot import MOTMetrics
from vidnb.metrics.sot import SOTMetrics
from vidnb.metrics.video_ap import VIDMetrics
from vidnb.metrics.vos import VOSMetrics
from vidnb.tracking.linking import InterpolateTracklets, interpolate_tracks
from vidnb.transforms.compose import Compose

def cases(start):
    found = [c for n,c in golden('F_tracking').items() if n.startswith(start)]
    assert found
    return found

class Videos(torch.utils.data.Dataset):
    "Frames of videos that know their number"
    test_mode = True
    def __init__(self, lengths): self.video_lengths = np.array(lengths)
    def __len__(self): return int(self.video_lengths.sum())
    def __getitem__(self, i):
        v = int(np.searchsorted(self.video_lengths.cumsum(), i, 'right'))
        return torch.tensor([v, i - int(self.video_lengths[:v].sum())])

class Pairs(Videos):
    "The same, called by (video, frame)"
    @property
    def num_videos(self): return len(self.video_lengths)
    def get_len_per_video(self, v): return int(self.video_lengths[v])
    def __getitem__(self, vf): return torch.tensor(vf)

class Records(torch.utils.data.Dataset):
    "What has no table of lengths, only a record a frame"
    def __init__(self, lengths): self.rows = [dict(frame_id=f, video_length=n) for n in lengths for f in range(n)]
    def __len__(self): return len(self.rows)
    def get_data_info(self, i): return self.rows[i]

def samplers_of(lengths): return [[list(map(list, VideoSampler(Pairs(lengths)))), list(VideoSampler(Videos(lengths))), list(VideoSampler(Records(lengths))), list(EntireVideoBatchSampler(VideoSampler(Videos(lengths))))]]

# ---- two processes, which do everything that needs two in one start

scene = lambda v, t: (np.array([[10, 10], [60, 20], [30, 70]]) + t*(1+v)/2)[:,[0, 1, 0, 1]] + [0, 0, 20, 20]
lengths = [6, 9, 4]

def frames_of(which, *_):
    "Made-up frames of a tracker that drifts, and takes one for another in video 1"
    for v,t in which:
        ids = np.array([1, 0, 2]) if v == 1 and t > 4 else np.arange(3)
        yield f'video {v}', t, dict(gt_boxes=scene(v, t), gt_ids=np.arange(3), boxes=scene(v, t) + t*.7, ids=ids), lengths[v] if v else None

def score(frames):
    c = VideoCollector(MOTMetrics(), frames_of, scene_of_frames)
    for k in range(0, len(frames), 4): c.add_batch(frames[k:k+4])
    return c.gather()

def label_map(boxes):
    "Each box as a region of its own, the later ones above"
    y, x = np.mgrid[:110, :100]
    return np.max([(k+1)*((x >= b[0]) & (x < b[2]) & (y >= b[1]) & (y < b[3])) for k,b in enumerate(boxes)], axis=0).astype(np.uint8)

def table(frames, key, **more):
    "Boxes of a video, a row a box"
    rows = [dict(frame=f, id=int(i), label=int(i) % 2, **dict(zip(('x1', 'y1', 'x2', 'y2'), b)), **more) for f,r in frames.items() for i,b in zip(r['gt_ids'], r[key])]
    return pd.DataFrame(rows)

others = dict( # accumulators of other tasks, and what they take of a video
    SOT=(SOTMetrics, lambda frames, n: tuple(np.stack([r[k][0] for r in frames.values()]) for k in ('gt_boxes', 'boxes'))),
    VOS=(VOSMetrics, lambda frames, n: tuple(np.stack([label_map(r[k]) for r in frames.values()]) for k in ('gt_boxes', 'boxes'))),
    VID=(VIDMetrics, lambda frames, n: (table(frames, 'gt_boxes'), table(frames, 'boxes', score=.5))))

def other_scores(frames):
    out = {}
    for name,(make,close) in others.items():
        c = VideoCollector(make(), frames_of, close)
        c.add_batch(frames)
        out[name] = {k: float(v) for k,v in c.gather().items()}
    return out

class Loader:
    device, bs = torch.device('cpu'), 3
    def __init__(self, frames): self.b = [(torch.ones(1, 2), torch.tensor(frames[k:k+3])) for k in range(0, len(frames), 3)]
    def __len__(self): return len(self.b)
    def __iter__(self): return iter(self.b)

def in_a_fit(frames):
    "HOTA in the table of epochs of a learner whose validation is `frames`"
    read = lambda pred, where: frames_of(where.tolist())
    learn = Learner(DataLoaders(Loader(frames), Loader(frames), device='cpu'), nn.Linear(2, 1), loss_func=lambda p, y: p.mean(), metrics=video_metrics(MOTMetrics(), read=read))
    if hasattr(learn, 'progress'): learn.remove_cb(learn.progress)
    learn.logger = lambda row: None
    learn.fit(2, .01)
    return list(learn.recorder.values[-1][2:])

def simple(x):
    "What may be read back without pickled code: numbers of NumPy as Python's"
    if isinstance(x, dict): return {simple(k): simple(v) for k,v in x.items()}
    if isinstance(x, (list, tuple)): return type(x)(map(simple, x))
    return x.item() if isinstance(x, np.generic) else x.tolist() if isinstance(x, np.ndarray) else x

def in_two(f, folder):
    "Run `f(rank, folder)` in two processes of one group; what they saved in files `rank.pt`"
    def one(rank):
        torch.set_num_threads(1)
        dist.init_process_group('gloo', store=dist.FileStore(str(folder/'store'), 2), rank=rank, world_size=2)
        torch.save(simple(f(rank, folder)), folder/f'{rank}.pt')
        dist.barrier()
        dist.destroy_process_group()
    for c in [Child(one, r) for r in range(2)]:
        done = c.wait()
        assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(folder/f'{r}.pt', weights_only=True) for r in range(2)]

def both(rank, folder):
    torch.manual_seed(rank)   # the processes' own states differ
    out = dict(samplers=[samplers_of(c['inputs']['video_lengths'])[0] for c in cases('VideoSampler') if c['inputs']['world_size'] == 2])
    with expect_error(ValueError, '1 videos are fewer than 2 processes'): VideoSampler(Videos([5]))
    loader = torch.utils.data.DataLoader(Videos(lengths), 2, sampler=VideoSampler(Videos(lengths)), num_workers=1)
    out['read'] = torch.cat(list(loader)).tolist()
    out['batches'] = [b[:,0].tolist() for b in torch.utils.data.DataLoader(Videos(lengths), batch_sampler=EntireVideoBatchSampler(VideoSampler(Videos(lengths))))]
    quota = QuotaSampler(range(50), 21, replacement=True, seed=3)
    out['quota'] = []
    for epoch in range(2): quota.set_epoch(epoch); out['quota'].append(list(quota))
    out['golden quota'] = quota_of([c for c in cases('QuotaSampler') if c['inputs']['world_size'] == 2])
    mine = list(map(list, VideoSampler(Pairs(lengths))))
    everything = list(map(list, sum(([(v, t) for t in range(n)] for v,n in enumerate(lengths)), [])))
    out['scores'] = [score(o) for o in (mine, everything[rank::2], everything, everything[rank::2] + everything[:3], everything if rank else [])]
    out['others'] = [other_scores(o) for o in (mine, everything[rank::2])]
    return out | dict(fit=in_a_fit(mine))

def quota_of(cs):
    out = []
    for c in cs:
        s = QuotaSampler(range(c['inputs']['dataset_len']), **c['params'])
        s.set_epoch(c['inputs']['epoch'])
        out.append(list(s))
    return out

@pytest.fixture(scope='module')
def pair(tmp_path_factory): return in_two(both, tmp_path_factory.mktemp('pair'))

def test_videos_are_dealt_as_recorded(pair):
    keys = 'sot_dataset_indices_per_rank', 'video_dataset_indices_per_rank', 'video_dataset_indices_per_rank', 'entire_video_batches_per_rank'
    want = [c for c in cases('VideoSampler') if c['inputs']['world_size'] == 2]
    for r in range(2): same(pair[r]['samplers'], [[c['expected'][k][r] for k in keys] for c in want])
    for c in cases('VideoSampler'):
        if c['inputs']['world_size'] == 1: same(samplers_of(c['inputs']['video_lengths'])[0], [c['expected'][k][0] for k in keys])

def test_two_processes_read_whole_videos_in_order(pair):
    same(pair[0]['read'] + pair[1]['read'], [[v, t] for v,n in enumerate(lengths) for t in range(n)])
    same([o['batches'] for o in pair], [[[0]*6, [1]*9], [[2]*4]])

def test_quota_is_one_draw(pair):
    for r in range(2): same(pair[r]['golden quota'], [c['expected']['indices_per_rank'][r] for c in cases('QuotaSampler') if c['inputs']['world_size'] == 2])
    alone = QuotaSampler(range(50), 21, replacement=True, seed=3)
    for epoch in range(2):
        alone.set_epoch(epoch)
        a,b = (o['quota'][epoch] for o in pair)
        same((len(a), len(b)), (11, 11))
        same([i for two in zip(a, b) for i in two][:21], list(alone))
    assert pair[0]['quota'][0] != pair[0]['quota'][1]

@pytest.mark.parametrize('case', range(3))
def test_quota_as_recorded(case):
    c = cases('QuotaSampler')[case]
    samplers = [QuotaSampler(range(c['inputs']['dataset_len']), **c['params']) for _ in range(c['inputs']['world_size'])]
    for r,s in enumerate(samplers): s.rank,s.world_size = r,len(samplers); s.set_epoch(c['inputs']['epoch'])
    same([list(s) for s in samplers], c['expected']['indices_per_rank'])

def test_metrics_of_two_processes_are_those_of_one(pair):
    want = score([(v, t) for v,n in enumerate(lengths) for t in range(n)])
    assert .2 < want['HOTA'] < .95 and want['IDSW'] == 2
    for r in range(2):
        for got in pair[r]['scores']: same(got, pair[0]['scores'][0])   # to the last digit in both
        for k in want: same(float(pair[r]['scores'][0][k]), float(want[k]), eps=1e-12)
        same(pair[r]['fit'], [float(want[k]) for k in ('HOTA', 'MOTA', 'IDF1')], eps=1e-12)

def test_every_accumulator_is_shared_alike(pair):
    want = other_scores([(v, t) for v,n in enumerate(lengths) for t in range(n)])
    for name,scores in want.items(): assert any(0 < v < 1 for v in scores.values()), (name, scores)
    for r in range(2): same(pair[r]['others'], [want]*2, eps=1e-12)

def test_frames_of_real_single_object_sequences():
    "The sampler over a dataset of single-object tracking, whose samples are called by (video, frame)"
    rows = lambda n: np.tile([1., 2, 8, 9], (n, 1))
    films = [SOTSequence(f'film {n}', Path('.'), rows(n)) for n in (3, 5)]
    ds = BaseSOTDataset(sequences=films, test_mode=True)
    s = VideoSampler(ds)
    same(list(s), [(0, t) for t in range(3)] + [(1, t) for t in range(5)])
    same([(ds[i]['video_id'], ds[i]['frame_id']) for i in s], list(s))
    same([len(b) for b in EntireVideoBatchSampler(s)], [3, 5])
    with expect_error(ValueError, 'BaseSOTDataset is in training mode'): VideoSampler(BaseSOTDataset(sequences=films))

# ---- a backbone that wakes up in two processes, with PyTorch's wrapper around the model

class Siamese(nn.Module):
    def __init__(self, n_out, pretrained=False, base_channels=8):
        super().__init__()
        block = lambda i, o: nn.Sequential(nn.Conv3d(i, o, 3, 2, 1, bias=False), nn.BatchNorm3d(o), nn.ReLU())
        self.backbone = nn.Sequential()
        for n,(i,o) in dict(layer1=(3, 4), layer2=(4, 4), layer3=(4, 4)).items(): self.backbone.add_module(n, block(i, o))
        self.cls_head = nn.Linear(4, n_out)
    def forward(self, x): return self.cls_head(self.backbone(x).mean((2, 3, 4)))

class Epochs(Callback):
    order,run_valid = 44,False
    def before_fit(self): self.states = []
    def after_train(self): self.states.append({n: p.detach().clone() for n,p in self.model.named_parameters()})

def wakes(rank, root):
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2', MASTER_ADDR='localhost', MASTER_PORT='29500') # accelerate asks these whether there are several; the store is a file
    learn = together.made(root, Siamese, cbs=[SiamRPNBackboneUnfreezeHook(1, ['layer2', 'layer3']), epochs := Epochs()])
    start = {n: p.detach().clone() for n,p in learn.model.named_parameters()}
    with learn.distrib_ctx(): learn.fit(2, .05)
    moved = [{n.removeprefix('module.'): bool((p != before[n.removeprefix('module.')]).any()) for n,p in s.items()} for s,before in zip(epochs.states, (start, {n.removeprefix('module.'): p for n,p in epochs.states[0].items()}))]
    return dict(moved=moved, weights=[p.detach() for p in learn.model.parameters()])

def test_backbone_wakes_in_two_processes(tmp_path):
    pytest.importorskip('accelerate', reason='accelerate is not installed: pip install ".[distributed]"')
    together.make_data(tmp_path)
    a,b = in_two(wakes, tmp_path)
    for p,q in zip(a['weights'], b['weights']): same(p, q)
    for n,moved in a['moved'][0].items(): assert moved == (not n.startswith(('backbone.layer2', 'backbone.layer3'))), n
    assert all(a['moved'][1].values())

# ---- schedules

@pytest.mark.parametrize('case', range(2))
def test_siamrpn_rates_as_recorded(case):
    c = cases('SiamRPNExpLR')[case]
    kw, want = dict(c['params']), np.array(c['expected']['lr_per_epoch'])
    opt = torch.optim.SGD([nn.Parameter(torch.zeros(1))], kw.pop('base_lr'))
    s, got = SiamRPNExpLR(opt, **kw), []
    for _ in want: got.append(opt.param_groups[0]['lr']); s.step()
    same(np.array(got)/want, np.ones(len(want)), eps=1e-9)

def test_schedule_of_an_interrupted_run(tmp_path):
    "A run that is stopped in the middle of an epoch and resumed has the rates of one that was not"
    together.make_data(tmp_path)
    class Stop(Callback):
        run_valid = False
        def after_step(self):
            if self.train_iter == 5: raise KeyboardInterrupt
    def run(folder, cbs=()):
        learn = together.made(tmp_path, cbs=[TorchSchedule(lambda o: siamrpn_schedulers(o, 4, 2)), *cbs])
        learn.fit_resumable(tmp_path/folder, 4, .05, fit='fit', every=1)
        return learn
    whole = run('whole')
    n = len(whole.dls.train)
    same(np.array(whole.recorder.lrs)[::n], .05*np.array([.2, .2**.5, 1., .1]), eps=1e-9)
    with pytest.raises(KeyboardInterrupt): run('cut', [Stop()])
    again = run('cut')
    same(again.recorder.lrs, whole.recorder.lrs)
    for p,q in zip(again.model.parameters(), whole.model.parameters()): same(p, q)

# ---- callbacks

class Step:
    def __init__(self): pass
    def __call__(self, r): return r + [type(self).__name__]
class Mosaic(Step): pass
class Flip(Step): pass

class Steps(torch.utils.data.Dataset):
    def __init__(self): self.pipeline = Compose([Mosaic(), Flip()])
    def __len__(self): return 4
    def __getitem__(self, i): return torch.tensor([float('Mosaic' in self.pipeline([]))]), torch.zeros(1)

class Head(nn.Module):
    def __init__(self): super().__init__(); self.bbox_head = nn.Linear(1, 1); self.bbox_head.use_l1 = False
    def forward(self, x): return self.bbox_head(x)

class Saw(Callback):
    run_valid = False
    def before_fit(self): self.rows = []
    def after_batch(self): self.rows.append((self.epoch, float(self.xb[0].mean()), self.model.bbox_head.use_l1))

def detector(*cbs):
    dls = DataLoaders(torch.utils.data.DataLoader(Steps(), 2, num_workers=1, persistent_workers=True), torch.utils.data.DataLoader(Steps(), 2), device='cpu')
    learn = Learner(dls, Head(), loss_func=nn.MSELoss(), cbs=[Saw(), *cbs])
    if hasattr(learn, 'progress'): learn.remove_cb(learn.progress)
    learn.logger = lambda row: None
    return learn

def test_last_epochs_after_a_fit_that_failed():
    "A fit that ends with an error in its last epochs leaves transforms off; the next one begins with all of them"
    class Fails(Callback):
        run_valid = False
        def after_batch(self):
            if self.epoch == 2: raise RuntimeError('the disk is full')
    learn = detector(YOLOXModeSwitchHook(2))
    with pytest.raises(RuntimeError, match='disk is full'): learn.fit(3, .01, cbs=Fails())
    same([r[1:] for r in learn.saw.rows[:-1]], [(1., False)]*2 + [(0., True)]*2)
    learn.fit(3, .01)
    same([r[1:] for r in learn.saw.rows], [(1., False)]*2 + [(0., True)]*4)
    same(len(learn.dls.train.dataset.pipeline), 2)

def test_pictures_of_real_frames(tmp_path):
    "Truth beside a prediction on frames of MOT17, written once for each frame however often the test is run; no random state is touched"
    folder = shared_data('mot', 'MOT17-mini', 'MOT17-02-FRCNN')
    gt = read_mot(folder/'gt'/'gt.txt')
    def sample(t):
        now = gt[(gt.frame == t) & (gt.cls == 1)]
        inst = lambda shift, **kw: InstanceData(bboxes=np.c_[now.x, now.y, now.x+now.w, now.y+now.h] + shift, instances_id=now.id.to_numpy(), **kw)
        return TrackDataSample(gt_instances=inst(0), pred_track_instances=inst(4, scores=np.full(len(now), .9)), metainfo=dict(img_path=str(folder/'img1'/f'{t:06d}.jpg'), frame_id=t-1))
    hook, samples, state = TrackVisualizationHook(draw=True, interval=2, test_out_dir=tmp_path), [sample(t) for t in range(1, 5)], np.random.get_state()[1].copy()
    for _ in range(2):
        for i,s in enumerate(samples): hook.after_test_iter(None, i, None, [s])
    same(np.random.get_state()[1], state)
    same(sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob('*.*')), ['MOT17-02-FRCNN/000001.jpg', 'MOT17-02-FRCNN/000003.jpg'])
    got, frame = (cv2.imread(str(f)).astype(int) for f in (tmp_path/'MOT17-02-FRCNN/000003.jpg', folder/'img1/000003.jpg'))
    same(got.shape, (1080, 3840, 3))
    far = slice(0, 300), slice(0, 400)   # the sky, where nobody is
    assert np.abs(got[far] - frame[far]).mean() < 4
    for side in (got[:,:1920], got[:,1920:]): assert np.abs(side - frame).max() > 150

# ---- linking

@pytest.mark.parametrize('case', range(6))
def test_interpolation_as_recorded(case):
    c = cases('InterpolateTracklets')[case]
    got, want = InterpolateTracklets(**c['params']).forward(c['inputs']['pred_tracks']), c['expected']
    same(got.shape, want.shape)
    assert (np.abs(got-want) <= c['atol'] + c['rtol']*np.abs(want)).all()

def test_interpolation_takes_frames_in_any_order_and_ids_far_apart():
    rng = np.random.default_rng(0)
    df = pd.DataFrame(dict(frame=np.r_[np.arange(1, 30, 3), np.arange(5, 45, 4)], id=np.r_[np.full(10, -7), np.full(10, 2**40)])).assign(x=lambda d: d.frame*2., y=1., w=5., h=6.)
    full = interpolate_tracks(df.sample(frac=1, random_state=rng.integers(99)))
    same(full.x.to_numpy(), full.frame.to_numpy()*2., eps=1e-9)
    same(full.groupby('id').frame.count().tolist(), [28, 37])
    same((full.frame.dtype.kind, full.id.dtype.kind), ('i', 'i'))
