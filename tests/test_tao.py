"Track AP and TAO against TrackEval: every field of every class, with all rules in play"
import json
from types import SimpleNamespace
import numpy as np
import pytest
from vidnb.core.testing import expect_error, test_same as same
from vidnb.datasets.tao import evaluate_tao, tao_report
from vidnb.metrics.mot_classes import combine_classes

COUNTS = 'Dets', 'GT_Dets', 'IDs', 'GT_IDs', 'Frames'   # of lines, no scores

def world(seed, whole=False, videos=4, frames=8, classes=7):
    "Truth and result of videos that name only some classes; with `whole` all numbers are whole, so that overlaps and scores tie"
    rng = np.random.default_rng(seed)
    data = dict(videos=[], images=[], annotations=[], tracks=[], categories=[dict(id=10*k, name=f'class {k}') for k in range(1, classes+1)])
    data['categories'][0]['merged'] = [dict(id=10*classes, name=f'class {classes}')]
    res, number = [], 0
    for v in range(videos):
        has = rng.choice(np.arange(1, classes+1)*10, 3, False)
        rest = [c for c in range(10, 10*classes, 10) if c not in has]
        absent = [int(c) for c in rng.permutation(rest)[:2]]
        data['videos'].append(dict(id=5*v, name=f'set/{v}', neg_category_ids=absent + [int(has[1])]*(v == 2), not_exhaustive_category_ids=[int(has[0]), absent[0]] if v%2 else []))
        pictures = [dict(id=1000*v+k, video_id=5*v, frame_index=30*k, width=400, height=300) for k in range(frames)]
        data['images'] += [pictures[k] for k in rng.permutation(frames)]
        dense = 0
        for t in range(rng.integers(4, 9)):
            number, c = number+1, int(rng.choice(has))
            size, at, step = rng.uniform(15, 120, 2), rng.uniform(0, 250, 2), rng.uniform(-6, 6, 2)
            lo, hi = sorted(rng.choice(frames, 2, False))
            box = lambda k, noise: np.concatenate([at + step*k + rng.normal(0, noise, 2), np.maximum(size + rng.normal(0, noise, 2), 3)])
            form = lambda b: (np.maximum(np.round(b/5), 1)*5 if whole else b).tolist()
            data['annotations'] += [dict(id=len(data['annotations'])+1+k, image_id=1000*v+int(k), video_id=5*v, track_id=number, category_id=c, bbox=form(box(k, 0)), iscrowd=0) for k in range(lo, hi+1)]
            for copy in range(rng.integers(0, 4)):
                dense += 1
                label = c if rng.random() < .7 else int(rng.choice(10*np.arange(1, classes+1)))
                noise, score = rng.uniform(0, 9), rng.random()
                spread = rng.uniform(0, .2)
                res += [dict(image_id=1000*v+int(k), video_id=5*v, track_id=100*v+dense, category_id=label, bbox=form(box(k, noise)), score=float(np.round(score + spread*rng.random(), 1 if whole else 6))) for k in range(lo, min(hi+2, frames)) if rng.random() < .9]
    return data, [res[k] for k in rng.permutation(len(res))]

def official(data, res, tmp_path, most=300):
    "What TrackEval says"
    trackeval = pytest.importorskip('trackeval', reason='TrackEval is not installed: pip install --no-deps trackeval==1.3.0 tabulate')
    for p,o in ((tmp_path/'gt'/'gt.json', data), (tmp_path/'trackers'/'mine'/'data'/'mine.json', res)):
        p.parent.mkdir(parents=True, exist_ok=True)
        p.write_text(json.dumps(o))
    quiet = dict(PRINT_CONFIG=False)
    config = trackeval.Evaluator.get_default_eval_config() | dict(PRINT_RESULTS=False, PRINT_CONFIG=False, TIME_PROGRESS=False, OUTPUT_SUMMARY=False, OUTPUT_DETAILED=False, OUTPUT_EMPTY_CLASSES=False, PLOT_CURVES=False, DISPLAY_LESS_PROGRESS=True)
    metrics = [trackeval.metrics.HOTA(), trackeval.metrics.CLEAR(quiet), trackeval.metrics.Identity(quiet), trackeval.metrics.TrackMAP(quiet)]
    dataset = trackeval.datasets.TAO(dict(quiet, GT_FOLDER=str(tmp_path/'gt'), TRACKERS_FOLDER=str(tmp_path/'trackers'), MAX_DETECTIONS=most))
    return trackeval.Evaluator(config).evaluate([dataset], metrics)[0]['TAO']['mine']['COMBINED_SEQ']

def compare_frames(got, want):
    want = {k: v for m in ('HOTA', 'CLEAR', 'Identity') for k,v in want[m].items()}
    assert len(want) >= 40 and set(want) <= set(got), sorted(set(want) - set(got))
    for k in sorted(want): same(np.asarray(got[k], float), np.asarray(want[k], float), eps=1e-9, where=k)

def compare_tracks(got, want):
    want = {k: v for k,v in want['TrackMAP'].items() if k[:2] in ('AP', 'AR')}
    assert set(want) == set(got) and len(want) == 14
    for k in sorted(want): same(np.asarray(got[k], float), np.asarray(want[k], float), eps=1e-9, where=k)

@pytest.mark.parametrize('whole', [False, True], ids=['any', 'ties'])
@pytest.mark.parametrize('seed', range(4))
def test_every_field_is_trackevals(seed, whole, tmp_path):
    data, res = world(seed, whole)
    most = 5 if seed == 3 else 300
    want = official(data, res, tmp_path, most)
    got = evaluate_tao(tmp_path/'gt', tmp_path/'trackers'/'mine', most, tell=lambda line: None)
    names = [c for c in want if not c.startswith('cls_comb')]
    assert set(names) == set(got.frames) and len(names) >= 5
    ap = got.tracks.result()
    for k,c in enumerate(got.frames):
        compare_frames(got.frames[c], want[c])
        compare_tracks(ap.of(k), want[c])
    compare_tracks(ap.of(), want['cls_comb_cls_av'])
    compare_frames(combine_classes(got.frames), want['cls_comb_cls_av'])
    compare_frames(combine_classes(got.frames, 'detections'), want['cls_comb_det_av'])
    assert 0 < got.value['AP'] < 1 and got.value['AP50'] > got.value['AP75']

def test_a_video_without_results(tmp_path):
    data, res = world(1)
    res = [r for r in res if r['video_id'] != 5]
    want = official(data, res, tmp_path)
    got = evaluate_tao(tmp_path/'gt', tmp_path/'trackers'/'mine', tell=lambda line: None)
    compare_tracks(got.tracks.result().of(), want['cls_comb_cls_av'])
    assert got.tracks.videos['set/1']['dt_score'].shape == (0,)

def test_results_without_videos_and_a_report(tmp_path):
    "`video_id` may be missing; several trackers make a table with a row each"
    data, res = world(2)
    bare = [{k: v for k,v in r.items() if k != 'video_id'} for r in res]
    for n,o in (('gt', data), ('a', res), ('b', bare)): (tmp_path/f'{n}.json').write_text(json.dumps(o))
    report = tao_report(tmp_path/'gt.json', [tmp_path/'a.json', tmp_path/'b.json'], boxes=True)
    assert report.table.loc['a'].equals(report.table.loc['b']) and {'AP', 'HOTA', 'box_AP'} <= set(report.table)
    report.save(tmp_path/'out')
    assert (tmp_path/'out'/'report.html').stat().st_size > 10_000

def test_lvis_rule_by_hand_on_many_pictures():
    "Box AP by LVIS's rule, once more by taking out of the set what the rule takes out"
    from vidnb.metrics.detection_ap import coco_box_ap
    rng = np.random.default_rng(0)
    data, res = world(5, frames=4)
    lists = {v['id']: v for v in data['videos']}
    images = [dict(o, neg_category_ids=lists[o['video_id']]['neg_category_ids'], not_exhaustive_category_ids=[]) for o in data['images']]
    truth = dict(data, images=images)
    have = {(a['image_id'], a['category_id']) for a in data['annotations']} | {(o['id'], c) for o in images for c in o['neg_category_ids']}
    seen = {a['category_id'] for a in data['annotations']}
    rest = [r for r in res if (r['image_id'], r['category_id']) in have]
    assert len(rest) < len(res)
    got, want = coco_box_ap(truth, res, federated=True).value, coco_box_ap(truth, rest, fast=False).value
    same(got, want, eps=1e-12)

def test_faults_are_named(tmp_path):
    data, res = world(0)
    (tmp_path/'gt.json').write_text(json.dumps(data))
    for bad,why in (([dict(res[0], track_id=1.5)], ''), ({'a': 1}, "r.json holds {'a': 1}; a list of entries"), ([res[0], dict(res[0], bbox=[0, 0, float('nan'), 1])], 'r.json: entry 1: bbox is [0, 0, nan, 1]'), ([res[0], 7], 'r.json: entry 1 is 7'),
                    ([dict(r, track_id=1) for r in res[:40]], 'stands twice in frame')):
        (tmp_path/'r.json').write_text(json.dumps(bad))
        if why:
            with expect_error(ValueError, why): evaluate_tao(tmp_path/'gt.json', tmp_path/'r.json', tell=str)
    with expect_error(FileNotFoundError, 'none.json is not there'): evaluate_tao(tmp_path/'gt.json', tmp_path/'none.json')
