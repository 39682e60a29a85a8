"Benchmarks with several classes, KITTI, BDD100K and VisDrone: every field of every class, sequence, average and group is TrackEval's"
import json
import numpy as np
import pandas as pd
import pytest

from vidnb.core.boxes import xyxy2xywh
from vidnb.core.testing import expect_error
from vidnb.datasets.bdd100k import BDD_SCORED, evaluate_bdd
from vidnb.datasets.kitti_tracking import evaluate_kitti, write_kitti_tracking
from vidnb.datasets.visdrone import VISDRONE_CLASSES, VISDRONE_SCORED, evaluate_visdrone, write_visdrone
from vidnb.metrics.mot_classes import combine_classes
from test_mot import COUNTS, as_official, compare, crowd, official

QUIET = dict(PRINT_RESULTS=False, PRINT_CONFIG=False, TIME_PROGRESS=False, OUTPUT_SUMMARY=False, OUTPUT_DETAILED=False, OUTPUT_EMPTY_CLASSES=False, PLOT_CURVES=False, LOG_ON_ERROR=None)

def theirs(kind, **config):
    import trackeval
    data = getattr(trackeval.datasets, kind)(dict(PRINT_CONFIG=False, TRACKERS_TO_EVAL=['mine'], **config))
    metrics = [trackeval.metrics.HOTA(), trackeval.metrics.CLEAR({'PRINT_CONFIG': False}), trackeval.metrics.Identity({'PRINT_CONFIG': False})]
    return trackeval.Evaluator(trackeval.Evaluator.get_default_eval_config() | QUIET).evaluate([data], metrics)[0][kind]['mine']

def fields(res): return {k: v for name,m in res.items() if name != 'Count' for k,v in m.items() if k not in COUNTS}

NAMES = {'class average': 'cls_comb_cls_av', 'detection average': 'cls_comb_det_av'}

def equal(got, want, averages):
    for name,classes in got.videos.items():
        for c,scores in classes.items(): compare(scores, fields(want[name][c]))
    whole = got.combined()
    assert set(want['COMBINED_SEQ']) == {NAMES.get(c, c) for c in whole} - (set() if averages else set(NAMES.values()))
    for c,scores in whole.items():
        if averages or c not in NAMES: compare(scores, fields(want['COMBINED_SEQ'][NAMES.get(c, c)]))

def kitti(root, seed, sequences=3, frames=15, people=26, **kind):
    "Sequences with everything that the rules of KITTI know"
    (root/'label_02').mkdir(parents=True)
    data = root/'trackers'/'mine'/'data'
    data.mkdir(parents=True)
    (root/'evaluate_tracking.seqmap.training').write_text(''.join(f'{k:04d} empty 000000 {frames:06d}\n' for k in range(sequences)))
    for k in range(sequences):
        rng = np.random.default_rng(100*seed + k)
        gt, tr, n = crowd(100*seed + k, people=people, frames=frames, **(dict(width=300) | kind))
        types = rng.choice(['Car', 'car', 'Van', 'Truck', 'Pedestrian', 'Person', 'Cyclist', 'Tram', 'Misc'], people, p=[.25,.05,.15,.05,.2,.1,.05,.05,.1])
        table = lambda o: pd.DataFrame(dict(frame=o[0]-1, id=o[1], **dict(zip(('x1','y1','x2','y2'), o[2].T))))
        g, t = table(gt), table(tr)
        g = g.assign(type=types[gt[1]], truncated=rng.choice([0,0,0,0,1,2], len(g)), occluded=rng.choice([0,0,1,2,2,3], len(g)))
        region = g.sample(40, random_state=seed).assign(id=-1, type='DontCare', truncated=-1, occluded=-1)
        region[['x2','y2']] += 25
        g.loc[rng.random(len(g)) < .03, 'id'] = -1
        flat = rng.random(len(t)) < .3
        t.loc[flat, 'y2'] = t.y1[flat] + rng.choice([24., 25., 25.5, 20.], flat.sum())
        t = t.assign(type=rng.choice(['Car', 'Pedestrian', 'Pedestrian', 'Car', 'Cyclist', 'Van'], people + 1000)[t.id], score=.5)
        same_type = rng.random(len(t)) < .7
        near = {(f,i): y for f,i,y in zip(g.frame, g.id, g.type)}
        t['type'] = [near.get((f, i-5), y).replace('Van', 'Car').replace('Person', 'Pedestrian') if s else y for f,i,y,s in zip(t.frame, t.id, t.type, same_type)]
        t['type'] = t.type.str.replace('Pedestrianson', 'Pedestrian').str.replace('Pedestriansitting', 'Pedestrian')
        t.loc[rng.random(len(t)) < .03, 'id'] = -1
        write_kitti_tracking(pd.concat([g, region]), root/'label_02'/f'{k:04d}.txt')
        write_kitti_tracking(t, data/f'{k:04d}.txt')

KITTI = dict(plain={}, dense=dict(width=120), ties=dict(grid=10), loose=dict(jitter=7, miss=.4))

@pytest.mark.parametrize('kind', KITTI)
def test_kitti(kind, tmp_path, official):
    kitti(tmp_path, 3, **KITTI[kind])
    said = []
    got = evaluate_kitti(tmp_path, tmp_path/'trackers'/'mine', tell=said.append)
    equal(got, theirs('Kitti2DBox', GT_FOLDER=str(tmp_path), TRACKERS_FOLDER=str(tmp_path/'trackers')), averages=False)
    assert len(said) == 4, said
    assert all(got.combined()[c]['CLR_TP'] > 20 for c in got.classes)

def bdd(root, seed, videos=3, frames=12, people=40, **kind):
    "Videos with all categories, crowds, frames without labels, files in any order of frames"
    kinds = ['pedestrian', 'rider', 'car', 'bus', 'truck', 'motorcycle', 'bicycle', 'other person', 'trailer', 'other vehicle']   # no train: an empty class
    (root/'gt').mkdir()
    (root/'trackers'/'mine'/'data').mkdir(parents=True)
    for k in range(videos):
        rng = np.random.default_rng(100*seed + k)
        gt, tr, n = crowd(100*seed + k, people=people, frames=frames, silent=(4,), **(dict(width=300) | kind))
        cls = rng.choice(kinds, people)
        def label(i, c, b, truth):
            attributes = dict(Occluded=False, Truncated=False, Crowd=bool(rng.random() < .1)) if truth or rng.random() < .5 else None
            return dict(id=f'{i:08d}' if truth else str(i), category=str(c), box2d=dict(zip(('x1','y1','x2','y2'), map(float, b)))) | (dict(attributes=attributes) if attributes else {})
        for o,path,truth in ((gt, root/'gt', True), (tr, root/'trackers'/'mine'/'data', False)):
            rows = [dict(name=f'{k}-{f}.jpg', videoName=str(k), index=f-1, labels=[label(i, cls[(i-5)%people] if not truth and rng.random() < .8 else rng.choice(kinds) if not truth else cls[i], b, truth) for i,b in zip(o[1][o[0] == f], o[2][o[0] == f])]) for f in range(1, n+1)]
            (path/f'{k}.json').write_text(json.dumps([rows[j] for j in rng.permutation(n)]))

@pytest.mark.parametrize('kind', KITTI)
def test_bdd(kind, tmp_path, official):
    bdd(tmp_path, 5, **KITTI[kind])
    said = []
    got = evaluate_bdd(tmp_path/'gt', tmp_path/'trackers'/'mine', tell=said.append)
    equal(got, theirs('BDD100K', GT_FOLDER=str(tmp_path/'gt'), TRACKERS_FOLDER=str(tmp_path/'trackers')), averages=True)
    assert len(said) == 3, said
    assert got.combined()['detection average']['CLR_TP'] > 100 and got.combined()['train']['CLR_TP'] == 0

#: MOTA, MOTP, IDF1 in percent, false positives, misses, switches, mostly and partly tracked, mostly lost, fragments: what scalabel 0.3.1 (with motmetrics 1.4.0), the tool of BDD100K, printed of these files
SCALABEL = dict(pedestrian=[15.662650602409634, 76.1356774503643, 40.67796610169492, 11, 59, 0, 0, 8, 1, 7], truck=[12.871287128712872, 75.0203012925534, 35.3356890459364, 23, 144, 9, 0, 15, 5, 25],
                HUMAN=[13.089005235602091, 76.15703400145239, 36.69064748201439, 26, 130, 10, 0, 19, 1, 20], VEHICLE=[14.805825242718452, 74.27752939738292, 36.64383561643836, 47, 287, 17, 0, 36, 7, 46],
                BIKE=[11.23595505617978, 75.4904601375063, 33.734939759036145, 24, 131, 3, 0, 14, 4, 18])
SCALABEL |= {'class average': [11.484100278117099, 65.65332383400933, 31.41913814622574, 97, 548, 30, 0, 69, 12, 84], 'detection average': [13.572343149807942, 75.01425697521141, 36.003600360036, 97, 548, 30, 0, 69, 12, 84]}

def test_bdd_by_its_own_tool(tmp_path):
    bdd(tmp_path, 5, **KITTI['dense'])
    whole = evaluate_bdd(tmp_path/'gt', tmp_path/'trackers'/'mine', tell=[].append, tool='scalabel').combined()
    for c,want in SCALABEL.items():
        got = [whole[c][k]*m for k,m in (('MOTA', 100), ('MOTP', 100), ('IDF1', 100), *((k, 1) for k in ('CLR_FP', 'CLR_FN', 'IDSW', 'MT', 'PT', 'ML', 'Frag')))]
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-9, err_msg=c)

def test_averages_without_empty_classes(tmp_path, official):
    bdd(tmp_path, 7)
    each = {c: s for c,s in evaluate_bdd(tmp_path/'gt', tmp_path/'trackers'/'mine', tell=[].append).combined().items() if c in BDD_SCORED}
    want = {k: v for m in official[0] for k,v in m.combine_classes_class_averaged(each, ignore_empty_classes=True).items()}
    compare(combine_classes(each, empty=False), want)

def test_kitti_and_bdd_refuse_what_the_official_tool_refuses(tmp_path, official):
    kitti(tmp_path/'k', 1, sequences=1)
    p = tmp_path/'k'/'trackers'/'mine'/'data'/'0000.txt'
    whole = p.read_text().splitlines()
    rows = [o for o in whole if ' Car ' in o and float(o.split()[9]) - float(o.split()[7]) > 26 and o.split()[1] != '-1']
    far = rows[0].split()
    far[6:10] = '900', '900', '950', '950'   # of the same id and frame, matched by nothing
    for line,why in ((' '.join(far), f'0000.txt:{len(whole)+1}: id {far[1]} stands twice in frame {far[0]}'), (rows[0].replace(' Car ', ' Bus '), f"0000.txt:{len(whole)+1}: type is 'Bus'"),
                     ('15' + rows[0][rows[0].index(' '):], f'0000.txt:{len(whole)+1}: frame is 15; the sequence ends with frame 14'), (' '.join([*far[:6], 'x', *far[7:]]), f"0000.txt:{len(whole)+1}: x1 is 'x'")):
        p.write_text('\n'.join([*whole, line]) + '\n')
        with pytest.raises(Exception): theirs('Kitti2DBox', GT_FOLDER=str(tmp_path/'k'), TRACKERS_FOLDER=str(tmp_path/'k'/'trackers'))
        with expect_error(ValueError, why): evaluate_kitti(tmp_path/'k', tmp_path/'k'/'trackers'/'mine', tell=[].append)
    bdd_root = tmp_path/'b'
    bdd_root.mkdir()
    bdd(bdd_root, 1, videos=1)
    p = bdd_root/'trackers'/'mine'/'data'/'0.json'
    data = json.loads(p.read_text())
    for bad,why in ((data[1:], '0: the result has 11 pictures, the truth 12'), ([dict(data[0], labels=[dict(id='1', category='boat', box2d=dict(x1=0, y1=0, x2=1, y2=1))])] + data[1:], "category is 'boat'")):
        p.write_text(json.dumps(bad))
        with pytest.raises(Exception): theirs('BDD100K', GT_FOLDER=str(bdd_root/'gt'), TRACKERS_FOLDER=str(bdd_root/'trackers'))
        with expect_error(ValueError, why): evaluate_bdd(bdd_root/'gt', bdd_root/'trackers'/'mine', tell=[].append)

@pytest.mark.parametrize('kind', [{}, dict(width=100), dict(jitter=5, miss=.3)])
def test_visdrone(kind, tmp_path, official):
    "No official tool in Python: regions painted pixel by pixel as the rule says, then TrackEval's metrics on what is left of each class"
    metrics, ious = official
    for d in ('annotations', 'mine'): (tmp_path/d).mkdir()
    want = {c: [] for c in VISDRONE_SCORED}
    for k in range(2):
        rng = np.random.default_rng(k)
        gt, tr, n = crowd(k, people=30, frames=12, **(dict(width=250) | kind))
        sides = [[o[0], o[1], np.round(o[2]).astype(int) + 200] for o in (gt, tr)]   # whole pixels, none left of the picture
        cats = rng.choice([1, 4, 4, 5, 6, 9, 2], 30)
        corner = rng.integers(180, 450, (n, 3, 2))
        region = np.concatenate([corner, corner + rng.integers(20, 160, (n, 3, 2))], 2)
        table = lambda o, cat, score: pd.DataFrame(dict(frame=o[0], id=o[1], **dict(zip('xywh', xyxy2xywh(o[2].astype(float)).T)), score=score, category=cat))
        others = rng.random(len(gt[0])) < .05
        cat = [np.where(others, 11, cats[gt[1]]), np.where(rng.random(len(tr[0])) < .9, cats[(tr[1]-5)%30], rng.choice([1, 4, 9], len(tr[0])))]
        zone = pd.concat([table((np.full(3, f), np.zeros(3, int), region[f-1]), 0, 0) for f in range(1, n+1)])
        late = table((np.array([n+1]), np.array([1]), np.array([[0, 0, 9, 9]])), 4, 1)
        write_visdrone(pd.concat([table(sides[0], cat[0], 1), zone]), tmp_path/'annotations'/f's{k}.txt')
        write_visdrone(pd.concat([table(sides[1], cat[1], .5), late]), tmp_path/'mine'/f's{k}.txt')
        last = int(gt[0].max())
        map_ = np.zeros((n+1, 900, 900), bool)
        for f,b in [(f, b) for f in range(1, n+1) for b in region[f-1]] + list(zip(gt[0][others], sides[0][2][others])): map_[f, b[1]:b[3], b[0]:b[2]] = True
        free = [np.array([2*map_[f, b[1]:b[3], b[0]:b[2]].sum() < max(1, (b[2:] - b[:2]).clip(0).prod()) and f <= last for f,b in zip(o[0], o[2])]) for o in sides]
        for c in VISDRONE_SCORED:
            here = [[x[free[s] & (cat[s] == {v: q for q,v in VISDRONE_CLASSES.items()}[c])] for x in sides[s]] for s in (0, 1)]
            here = [[f, i, b.astype(float)] for f,i,b in here]
            data = as_official(*here, last, ious)
            want[c].append({key: v for m in metrics for key,v in m.eval_sequence(data).items()})
    said = []
    got = evaluate_visdrone(tmp_path, tmp_path/'mine', tell=said.append)
    for c in VISDRONE_SCORED:
        for k in range(2): compare(got.videos[f's{k}'][c], want[c][k])
    assert len(said) == 5 and got.combined()['car']['CLR_TP'] > 30, said
