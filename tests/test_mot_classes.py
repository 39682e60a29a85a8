"Benchmarks with several classes, KITTI and BDD100K: every field of every class, sequence, average and group is TrackEval's"
import json
import numpy as np
import pandas as pd
import pytest
from vidnb.core.boxes import xyxy2xywh
from vidnb.core.testing import test_same as same
from vidnb.datasets.kitti_tracking import evaluate_kitti, write_kitti_tracking
from vidnb.metrics.mot_classes import combine_classes
from test_mot import COUNTS, compare, crowd, official

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
