"Tracking scores against TrackEval, the official tool: every field, on crowds with and without ties, on empty sides and on real files"
import numpy as np
import pandas as pd
import pytest
from vidnb.core.boxes import xyxy2xywh
from vidnb.core.testing import expect_error, shared_data, test_same as same
from vidnb.datasets.motchallenge import MOT_DISTRACTORS, evaluate_mot, mot_challenge_scene, read_mot, write_mot
from vidnb.metrics.mot import combine_mot, mot_scene, mot_scores

@pytest.fixture(scope='module')
def official():
    "TrackEval's three metrics and its IoU; it is not a requirement, as it would install a second OpenCV beside ours: `make env` adds it alone"
    trackeval = pytest.importorskip('trackeval', reason='TrackEval is not installed: pip install --no-deps trackeval==1.3.0 tabulate')
    from trackeval.datasets._base_dataset import _BaseDataset
    quiet = {'PRINT_CONFIG': False}
    return [trackeval.metrics.HOTA(), trackeval.metrics.CLEAR(quiet), trackeval.metrics.Identity(quiet)], _BaseDataset._calculate_box_ious

def as_official(gt, tr, n_frames, ious):
    "What TrackEval's metrics get: lists of arrays, one a frame"
    ids = [np.unique(o[1], return_inverse=True)[1] for o in (gt, tr)]
    rows = [[np.flatnonzero(o[0] == f) for f in range(1, n_frames+1)] for o in (gt, tr)]
    return dict(gt_ids=[ids[0][r] for r in rows[0]], tracker_ids=[ids[1][r] for r in rows[1]],
                similarity_scores=[ious(xyxy2xywh(gt[2][a]), xyxy2xywh(tr[2][b])) for a,b in zip(*rows)],
                num_gt_ids=len(np.unique(gt[1])), num_tracker_ids=len(np.unique(tr[1])), num_gt_dets=len(gt[0]), num_tracker_dets=len(tr[0]), num_timesteps=n_frames)

def crowd(seed, people=15, frames=40, width=250, grid=None, miss=.15, jitter=4, silent=()):
    "Truth and tracker of a random crowd: (frame from 1, id, box) each; with `grid` all coordinates are multiples of it, so that overlaps tie"
    rng = np.random.default_rng(seed)
    f, who = (o.ravel() for o in np.meshgrid(np.arange(1, frames+1), np.arange(people), indexing='ij'))
    at = rng.uniform(0, width, (1,people,2)) + rng.normal(0, 4, (frames,people,2)).cumsum(0)
    box = np.concatenate([at, at + rng.uniform(20, 70, (people,2))], 2).reshape(-1, 4)
    moved = box + rng.normal(0, jitter, box.shape)
    track = who + people*(rng.random((frames,people)) < .03).cumsum(0).ravel() + 5
    swap = (f//7)%3 == 1
    track[swap] = track[swap]^1 if people%2 == 0 else track[swap]
    if grid: box, moved = (np.round(o/grid)*grid for o in (box, moved))
    a, b = rng.random(len(f)) < .9, (rng.random(len(f)) > miss) & ~np.isin(f, silent)
    gt, tr = [o[a] for o in (f, who, box)], [o[b] for o in (f, track, moved)]
    first = np.sort(np.unique(np.stack(tr[:2], 1), axis=0, return_index=True)[1])
    return gt, [o[first] for o in tr], frames

CROWDS = dict(plain={}, dense=dict(width=80), thin=dict(width=1500), ties=dict(grid=10), dense_ties=dict(grid=20, width=100), loose=dict(jitter=15, miss=.5),
              even=dict(people=20), silence=dict(silent=(3,4,5,20)), alone=dict(people=2), exact=dict(jitter=0, grid=5))

COUNTS = 'Dets', 'GT_Dets', 'IDs', 'GT_IDs', 'Frames'   # of lines, no scores

def compare(got, want):
    "Every field that TrackEval has"
    shared = set(got) & set(want)
    assert len(shared) >= 40 and set(want) <= shared, sorted(set(want) - shared)
    for k in sorted(shared): same(np.asarray(got[k], float), np.asarray(want[k], float), eps=1e-9, where=k)

@pytest.mark.parametrize('kind', CROWDS)
def test_every_field_is_trackevals(kind, official):
    metrics, ious = official
    ours, theirs = {}, {}
    for seed in range(4):
        gt, tr, n = crowd(seed, **CROWDS[kind])
        ours[seed] = mot_scores(mot_scene(*gt, *tr, n))
        data = as_official(gt, tr, n, ious)
        theirs[seed] = [m.eval_sequence(data) for m in metrics]
        compare(ours[seed], {k: v for t in theirs[seed] for k,v in t.items()})
    compare(combine_mot(ours.values()), {k: v for i,m in enumerate(metrics) for k,v in m.combine_sequences({s: t[i] for s,t in theirs.items()}).items()})

@pytest.mark.parametrize('side', ['no tracker', 'no truth'])
def test_an_empty_side(side, official):
    metrics, ious = official
    gt, tr, n = crowd(0)
    none = [np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0,4))]
    if side == 'no tracker': tr = none
    else: gt = none
    data = as_official(gt, tr, n, ious)
    compare(mot_scores(mot_scene(*gt, *tr, n)), {k: v for m in metrics for k,v in m.eval_sequence(data).items()})

def folder(path, seed, benchmark):
    "Sequences of all kinds of boxes in the official layout"
    (path/'seqmaps').mkdir(parents=True)
    (path/'seqmaps'/f'{benchmark}-train.txt').write_text('name\n' + ''.join(f'{benchmark}-{k}\n' for k in range(2)))
    for k in range(2):
        name, rng = f'{benchmark}-{k}', np.random.default_rng(seed+k)
        gt, tr, n = crowd(seed+k, people=24, frames=30, width=300)
        seq = path/'gt'/f'{benchmark}-train'/name
        (seq/'gt').mkdir(parents=True)
        (seq/'seqinfo.ini').write_text(f'[Sequence]\nname={name}\nseqLength={n}\n')
        res = path/'trackers'/f'{benchmark}-train'/'mine'/'data'
        res.mkdir(parents=True, exist_ok=True)
        table = lambda f,i,b: pd.DataFrame(dict(frame=f, id=i+1, **dict(zip('xywh', xyxy2xywh(b).T))))
        kinds = rng.choice([1,1,1,2,6,7,8,12,3], 24)
        write_mot(table(*gt).assign(conf=(rng.random(len(gt[0])) < .9).astype(float), cls=1 if benchmark == 'MOT15' else kinds[gt[1]]), seq/'gt'/'gt.txt')
        write_mot(table(*tr).assign(conf=.5), res/f'{name}.txt')

@pytest.mark.parametrize('benchmark', ['MOT15', 'MOT16', 'MOT17', 'MOT20'])
def test_the_rules_are_the_official_ones(benchmark, tmp_path, official):
    import trackeval
    folder(tmp_path, 3, benchmark)
    config = trackeval.Evaluator.get_default_eval_config() | dict(PRINT_RESULTS=False, PRINT_CONFIG=False, TIME_PROGRESS=False, OUTPUT_SUMMARY=False, OUTPUT_DETAILED=False, OUTPUT_EMPTY_CLASSES=False, PLOT_CURVES=False, DISPLAY_LESS_PROGRESS=True)
    data = trackeval.datasets.MotChallenge2DBox(dict(GT_FOLDER=str(tmp_path/'gt'), TRACKERS_FOLDER=str(tmp_path/'trackers'), SEQMAP_FOLDER=str(tmp_path/'seqmaps'), BENCHMARK=benchmark, PRINT_CONFIG=False))
    want = trackeval.Evaluator(config).evaluate([data], official[0])[0]['MotChallenge2DBox']['mine']
    got = evaluate_mot(tmp_path/'gt'/f'{benchmark}-train', tmp_path/'trackers'/f'{benchmark}-train'/'mine', benchmark)
    for name,scores in got.videos.items(): compare(scores, {k: v for m in want[name]['pedestrian'].values() for k,v in m.items() if k not in COUNTS})
    whole = {k: v for m in want['COMBINED_SEQ']['pedestrian'].values() for k,v in m.items() if k not in COUNTS}
    compare(combine_mot(got.videos.values()), whole)

def test_real_files_and_the_official_tool(official):
    metrics, ious = official
    for name,benchmark in (('MOT16-13', 'MOT16'), ('TUD-Campus', 'MOT15')):
        gt, tr = (read_mot(shared_data('mot', name, *o)) for o in (('gt', 'gt.txt'), ('tracker_result.txt',)))
        scene = mot_challenge_scene(gt, tr, benchmark)
        n = scene.n_frames
        table = np.zeros((len(scene.gt_id), len(scene.tr_id)))
        table[scene.i, scene.j] = scene.iou
        rows = [[np.flatnonzero(o == f) for f in range(1, n+1)] for o in (scene.gt_frame, scene.tr_frame)]
        data = dict(gt_ids=[scene.gt_id[r] for r in rows[0]], tracker_ids=[scene.tr_id[r] for r in rows[1]], similarity_scores=[table[np.ix_(a, b)] for a,b in zip(*rows)],
                    num_gt_ids=scene.n_gt, num_tracker_ids=scene.n_tr, num_gt_dets=len(scene.gt_id), num_tracker_dets=len(scene.tr_id), num_timesteps=n)
        compare(mot_scores(scene), {k: v for m in metrics for k,v in m.eval_sequence(data).items()})

def test_bad_files_name_the_line(tmp_path):
    truth = tmp_path/'S-1'/'gt'
    truth.mkdir(parents=True)
    (truth/'gt.txt').write_text('1,1,0,0,10,10,1,1,1\n2,1,0,0,10,10,1,1,1\n')
    res = tmp_path/'res'
    res.mkdir()
    for text,why in {'1,1,0,0,10\n': r'S-1.txt:1 has 5 numbers', '1,1,0,0,10,10,1,-1,-1,-1\n1,1,0,0,10,nan,1,-1,-1,-1\n': "S-1.txt:2: h is 'nan'", '1,1,0,0,10,10,1\n1,1,5,5,9,9,1\n': 'S-1.txt:2: id 1 stands twice in frame 1',
                     '1,1,0,0,10,10,1,3,-1,-1\n': 'S-1.txt:1: class is 3', '1,1.5,0,0,10,10,1\n': 'S-1.txt:1: id is 1.5'}.items():
        (res/'S-1.txt').write_text(text)
        with expect_error(ValueError, why): evaluate_mot(truth.parent.parent, res, tell=pytest.fail)
    (res/'S-1.txt').write_bytes(b'\xef\xbb\xbf2 1.0 0 0 10 10 1\r\n1 1.0 -5 0 -10 10 1\r\n')   # out of order, spaces, Windows, a width below 0: a box without area
    got = evaluate_mot(truth.parent.parent, res).value
    same([got[k] for k in ('CLR_TP', 'CLR_FP', 'CLR_FN', 'IDSW')], [1, 1, 1, 0])

