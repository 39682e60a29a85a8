"Scores of video object segmentation against TrackEval, the official tool of the unsupervised challenge, and against masks that are scored by dilation"
import json, sys, types
import cv2
import numpy as np
import pytest
from vidnb.core.testing import expect_error, shared_data, test_same as same
from vidnb.datasets.davis import vos_report, write_masks
from vidnb.metrics.vos import VOS_COLUMNS, VOSMetrics, boundary_radius, vos_scores, vos_video

def blobs(seed, n=3, t=14, h=70, w=110, drop=.15):
    "Label maps of truth and prediction: discs that walk, of which some vanish for a while, and jittered copies under other labels"
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:h,:w]
    truth, pred = np.zeros((2,t,h,w), np.uint8)
    at, r = rng.uniform([15,15], [h-15,w-15], (n,2)), rng.uniform(5, 16, n)
    to = rng.permutation(n) + 1
    for f in range(t):
        at = np.clip(at + rng.normal(0, 3, at.shape), 0, [h,w])
        for k in range(n):
            if rng.random() > drop: truth[f][(y-at[k,0])**2 + (x-at[k,1])**2 <= r[k]**2] = k+1
            dy, dx, s = rng.normal(0, 3), rng.normal(0, 3), rng.uniform(.7, 1.2)
            if rng.random() > drop: pred[f][(y-at[k,0]-dy)**2 + (x-at[k,1]-dx)**2 <= (s*r[k])**2] = to[k]
    return truth, pred

def disk(r):
    "The only thing that TrackEval wants of scikit-image: pixels within `r` of the middle"
    y, x = np.ogrid[-int(r):int(r)+1, -int(r):int(r)+1]
    return (y*y + x*x <= r*r).astype(np.uint8)

@pytest.fixture(scope='module')
def official():
    "TrackEval's JAndF; scikit-image, of which it takes one function, is no requirement"
    trackeval = pytest.importorskip('trackeval', reason='TrackEval is not installed: pip install --no-deps trackeval==1.3.0 tabulate')
    with pytest.MonkeyPatch.context() as m:
        try: import skimage.morphology
        except ImportError:
            part = types.ModuleType('skimage.morphology')
            part.disk = disk
            m.setitem(sys.modules, 'skimage', types.ModuleType('skimage'))
            m.setitem(sys.modules, 'skimage.morphology', part)
        yield trackeval.metrics.JAndF()

def as_official(truth, pred):
    "What TrackEval's metric gets: lists of encoded masks, one a frame, of objects numbered from 0"
    from pycocotools import mask as rle
    def side(maps):
        labels = [o for o in np.unique(maps) if o]
        here = [[k for k,o in enumerate(labels) if (m == o).any()] for m in maps]
        return [np.array(h, int) for h in here], [[rle.encode(np.asfortranarray(m == labels[k]).astype(np.uint8)) for k in h] for m,h in zip(maps, here)], len(labels)
    (gi, gd, gn), (ti, td, tn) = side(truth), side(pred)
    return dict(num_timesteps=len(truth), num_gt_ids=gn, num_tracker_ids=tn, gt_ids=gi, tracker_ids=ti, gt_dets=gd, tracker_dets=td)

@pytest.mark.parametrize('seed', range(6))
@pytest.mark.parametrize('match', ['J', 'J&F'])
def test_every_field_is_trackevals(seed, match, official):
    truth, pred = blobs(seed, n=1+seed%4)
    if seed == 3: pred[pred > 2] = 0       # fewer predicted objects than true ones
    if seed == 4: truth[truth > 1] = 0     # and more
    official.optim_type = match
    want = official.eval_sequence(as_official(truth, pred))
    got = vos_scores(vos_video(truth, pred, match))
    for k in VOS_COLUMNS: same(got[k], float(want[k]), eps=1e-12, where=k)
    same(got['objects'], int(want['num_gt_tracks']))

def test_files_are_scored_as_trackeval_scores_them(tmp_path, official):
    "Its reader of DAVIS and its evaluator on the same folders, with void pixels and objects that match nobody"
    import contextlib, io
    import trackeval
    rng = np.random.default_rng(0)
    for seed,name in enumerate(('one', 'two', 'three')):
        truth, pred = blobs(20+seed, n=2+seed, t=9+seed)
        truth[rng.random(truth.shape) < .02] = 255
        truth[:,40:50,60:80] = 255
        write_masks(truth, tmp_path/'gt'/name)
        write_masks(pred if seed else pred*(pred == 1), tmp_path/'trackers'/'mine'/'data'/name)
    off = dict.fromkeys(('PRINT_RESULTS', 'PRINT_CONFIG', 'TIME_PROGRESS', 'OUTPUT_SUMMARY', 'OUTPUT_DETAILED', 'OUTPUT_EMPTY_CLASSES', 'PLOT_CURVES'), False)
    official.optim_type = 'J'
    with contextlib.redirect_stdout(io.StringIO()):
        data = trackeval.datasets.DAVIS(dict(GT_FOLDER=str(tmp_path/'gt'), TRACKERS_FOLDER=str(tmp_path/'trackers'), PRINT_CONFIG=False))
        want = trackeval.Evaluator(trackeval.Evaluator.get_default_eval_config() | off | dict(BREAK_ON_ERROR=True)).evaluate([data], [official])[0]['DAVIS']['mine']
    report = vos_report(tmp_path/'gt', tmp_path/'trackers'/'mine'/'data', match='J')
    for row,name in (('one', 'one'), ('two', 'two'), ('three', 'three'), ('COMBINED', 'COMBINED_SEQ')):
        for k in VOS_COLUMNS: same(float(report.table.loc[row, k]), float(want[name]['general']['JAndF'][k]), eps=1e-12, where=f'{row} {k}')

def test_one_object_of_255_is_scored_as_trackeval_scores_it(tmp_path, official):
    "DAVIS 2016: masks of 0 and 255 here, where TrackEval wants 1, since 255 is void for it"
    official.optim_type = 'J'
    want = {}
    for seed,name in enumerate(('one', 'two')):
        truth, pred = ((o > 0).astype(np.uint8) for o in blobs(40+seed, n=2, t=8+seed))
        write_masks(truth*255, tmp_path/'Annotations'/'480p'/name)
        write_masks(pred*255, tmp_path/'mine'/name)
        want[name] = official.eval_sequence(as_official(truth, pred))
    want['COMBINED'] = official.combine_sequences(want)
    report = vos_report(tmp_path, tmp_path/'mine', ends='count')
    for row,fields in want.items():
        for k in VOS_COLUMNS: same(float(report.table.loc[row, k]), float(fields[k]), eps=1e-12, where=f'{row} {k}')
    same(report.notes[-1].split('; ')[-1], 'the truth has one object, whose pixels are 255')

@pytest.mark.parametrize('seed', range(4))
def test_youtubevos_is_every_object_alone_after_its_first_frame(tmp_path, seed):
    "Videos cut by hand to what counts, an object at a time, and the mean of four means"
    rng, names, meta, alone = np.random.default_rng(seed), ('dog', 'ladder', 'zebra', 'spoon'), {}, []
    for v in ('a', 'b', 'c'):
        truth, pred = blobs(rng.integers(1000), n=4, t=9)
        pred = np.array([0, 3, 1, 4, 2], np.uint8)[pred]
        for k,n in zip(range(1, 5), rng.integers(0, 9, 4)): truth[:n][truth[:n] == k] = 0
        there = [k for k in range(1, 5) if (truth == k).any()]
        pred = pred*np.isin(pred, there)
        frames = [f'{5*t:05d}' for t in range(9)]
        write_masks(truth, tmp_path/'valid'/'Annotations'/v, frames)
        write_masks(pred, tmp_path/'mine'/v, frames)
        meta[v] = dict(objects={str(k): dict(category=names[k-1], frames=frames) for k in range(1, 5)})
        for k in there:
            first = next(t for t in range(9) if (truth[t] == k).any())
            if first == 8: continue
            one = vos_video(np.concatenate([truth[first:first+1] == k, truth[first+1:] == k]), np.concatenate([truth[first:first+1] == k, pred[first+1:] == k]), skip_ends=False)
            alone.append((names[k-1] in ('dog', 'zebra'), one.J[0,1:].mean(), one.F[0,1:].mean()))
    (tmp_path/'valid'/'meta.json').write_text(json.dumps(dict(videos=meta)))
    got = vos_report(tmp_path/'valid', tmp_path/'mine').table.loc['mine']
    means = {f'{s}_{kind}': np.mean([o[i] for o in alone if o[0] == is_seen]) for i,s in ((1, 'J'), (2, 'F')) for kind,is_seen in (('seen', True), ('unseen', False))}
    for k,want in means.items(): same(float(got[k]), float(want), eps=1e-12, where=k)
    same((float(got.overall), int(got.seen + got.unseen)), (float(np.mean(list(means.values()))), len(alone)), eps=1e-12)

def test_videos_are_combined_as_trackeval_does(official):
    official.optim_type = 'J'
    metrics, theirs = VOSMetrics('J'), {}
    for seed in range(4):
        truth, pred = blobs(seed, n=1+seed)
        metrics.add(str(seed), truth, pred)
        theirs[str(seed)] = official.eval_sequence(as_official(truth, pred))
    want = official.combine_sequences(theirs)
    for k in VOS_COLUMNS: same(metrics.value[k], float(want[k]), eps=1e-12, where=k)

@pytest.mark.parametrize('size', [(70,110), (240,427)])
def test_f_is_that_of_dilation(size):
    "The definition with OpenCV's dilation, object by object and frame by frame, on maps that touch the border"
    h, w = size
    truth, pred = (np.stack([cv2.resize(m, (w,h), interpolation=cv2.INTER_NEAREST) for m in o]) for o in blobs(9, n=4))
    video, r = vos_video(truth, pred, 'J'), boundary_radius(h, w)
    def outline(m):
        e, s, d = (np.pad(m, ((0,a),(0,b)), 'edge')[a:,b:] for a,b in ((0,1), (1,0), (1,1)))
        return ((m != e) | (m != s) | (m != d)).astype(np.uint8)
    for k,(a,b) in enumerate(zip(video.objects, video.partners)):
        for t in range(len(truth)):
            g, p = outline(truth[t] == a), outline(pred[t] == b)
            if not g.any() or not p.any(): want = float(not g.any() and not p.any())
            else:
                re, pr = g[cv2.dilate(p, disk(r)) > 0].sum()/g.sum(), p[cv2.dilate(g, disk(r)) > 0].sum()/p.sum()
                want = 2*re*pr/(re+pr) if re+pr else 0.
            same(float(video.F[k,t]), float(want), eps=1e-12, where=f'object {a}, frame {t}')

def test_long_videos_decay_by_true_quarters():
    "Borders kept in a byte would turn over after 256 frames"
    y, x = np.mgrid[:20,:20]
    truth = np.repeat(((y-10)**2 + (x-10)**2 <= 49)[None], 402, 0)
    pred = truth.copy()
    pred[301:] = False                      # nothing is found in the last quarter of frames 1 to 400
    got = vos_scores(vos_video(truth, pred))
    same(got['J-Decay'], 1 - float(np.mean((np.arange(300, 401) < 301))), eps=1e-12)

def test_osvos_on_car_shadow():
    "Scored once by the program of DAVIS 2017"
    read = lambda f: np.stack([cv2.imread(str(p), cv2.IMREAD_GRAYSCALE) for p in sorted(shared_data('vos', 'DAVIS', *f, 'car-shadow').glob('*.png'))]) > 0
    got = vos_scores(vos_video(read(('Annotations','480p')), read(('results_osvos',))))
    same([round(got[k], 5) for k in ('J-Mean', 'J-Recall', 'F-Mean')], [.92840, 1., .91741])

def test_merging_two_processes():
    one, two, all_ = VOSMetrics(), VOSMetrics(), VOSMetrics()
    for seed in range(4):
        truth, _ = blobs(seed)
        pred = np.roll(truth, 2, 1)
        (one if seed % 2 else two).add(str(seed), truth, pred)
        all_.add(str(seed), truth, pred)
    for n,v in two.videos.items(): one.add(n, v)
    same(one.value, all_.value, eps=1e-12)
    with expect_error(ValueError, 'was scored already'): one.add('0', two.videos['0'])
