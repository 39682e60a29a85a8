"""Single-object tracking: every golden case, published scores, the toolkits' ways written again without vidnb, faults of files.

What is held here and not on the pages: all golden cases of these names are handled, the report from end to end on real files, laws over random videos, and files that are wrong."""
import gzip
import json
import os
import subprocess
import sys
import zipfile
import numpy as np
import pandas as pd
import pytest
from vidnb.core.testing import expect_error, golden, shared_data, test_same as same
from vidnb.datasets.sot_report import SOT_BENCHMARKS, _corners, read_sot_tracker, sot_report, sot_truth
from vidnb.metrics.regions import calculate_region_overlap, region_overlaps
from vidnb.metrics.sot import SOT_RULES, SOTMetrics, combine_sot, eval_sot_ope, sot_frames, sot_scores, success_error, success_overlap
from vidnb.metrics.sot_curves import compare_sot, format_video_level_show, plot_norm_precision_curve, plot_precision_curve, plot_success_curve
from vidnb.metrics.vot import VOTAnchorMetrics, VOTMetrics, anchor_progress, calc_eao_curve, count_failures, eval_sot_accuracy_robustness, eval_sot_eao, locate_failures_inits

# golden cases ------------------------------------------------------------------------------------------------------------------------

def _locate(trajectory):
    fails, inits = locate_failures_inits(trajectory)
    return dict(fail_inds=fails, init_inds=inits, num_fails=count_failures(trajectory))

RUN = {'eval_sot_ope': eval_sot_ope, 'success_overlap': success_overlap, 'success_error': success_error, 'vot/locate_failures_inits': _locate, 'vot/calc_eao_curve': calc_eao_curve,
       'vot/eval_sot_accuracy_robustness': eval_sot_accuracy_robustness, 'vot/eval_sot_eao': eval_sot_eao, 'vot/count_failures': count_failures,
       'vot/calculate_region_overlap': calculate_region_overlap, 'format_video_level_show': format_video_level_show}

def base(name):
    "Which function a case is for"
    name = name.split('#')[0]
    return '/'.join(name.split('/')[:2]) if name.startswith('vot/') else name.split('/')[0]

def ours(name): return name.split('/')[0].split('#')[0] in ('vot', 'format_video_level_show') or 'sot_' in name or name.startswith('success_')

def floats(o):
    "Numbers of a recorded value as float64, so that float32 and int of the recording do not count as another kind"
    if isinstance(o, dict): return {k: floats(v) for k,v in o.items()}
    if isinstance(o, (list, tuple)): return [floats(v) for v in o]
    if isinstance(o, str): return o
    return np.asarray(o, float) if np.ndim(o) else float(o)

def test_golden():
    cases = {k: c for k,c in golden('F_tracking').items() if ours(k)}
    assert len(cases) >= 20 and {'eval_sot_ope', 'success_overlap', 'success_error', 'vot/locate_failures_inits', 'vot/calc_eao_curve', 'format_video_level_show'} <= {base(k) for k in cases}
    assert (new := {base(k) for k in cases} - set(RUN)) == set(), f'nothing runs the golden cases of {sorted(new)}'
    for k,c in cases.items():
        eps = 1e-6 if c.get('rtol') else 1e-8
        same(floats(RUN[base(k)](**c['inputs'], **c['params'])), floats(c.get('expected_fixed', c['expected'])), eps=eps, where=k)

def test_the_example_of_the_reference():
    gt, pred = np.array([[0,0,10,10], [5,5,15,15], [0,0,0,0], [20,20,40,40]]), np.array([[0,0,10,10], [6,5,16,15], [1,1,5,5], [22,22,42,42]])
    for visible,want in ((None, (60.7143, 100, 100)), ([np.array([1,1,0,1], bool)], (60.7143, 75, 75))):
        r = eval_sot_ope([pred], [gt], visible)
        same([round(r[k], 4) for k in ('success', 'precision', 'norm_precision')], [float(o) for o in want])
    same(eval_sot_ope([pred], [gt])['ori_success'][0], np.r_[[75.]*14, [50.]*3, [25.]*3, 0.], eps=1e-9)

# laws --------------------------------------------------------------------------------------------------------------------------------

def videos(seed=0, n=6):
    rng, truth, pred, away = np.random.default_rng(seed), {}, {}, {}
    for v in range(n):
        k = int(rng.integers(20, 90))
        at = 50 + rng.normal(0, 3, (k,2)).cumsum(0)
        truth[f'v{v}'] = np.concatenate([at, at + rng.uniform(10, 60, 2)], 1)
        pred[f'v{v}'] = truth[f'v{v}'] + rng.normal(0, 5, (k,4)).cumsum(0)*.3
        away[f'v{v}'] = rng.random(k) < .1
    pred = {n: np.concatenate([b[:,:2], np.maximum(b[:,2:], b[:,:2]+1)], 1) for n,b in pred.items()}
    return truth, pred, away, {n: (300, 300) for n in truth}

@pytest.mark.parametrize('rules', SOT_RULES)
def test_one_by_one_is_all_at_once(rules):
    truth, pred, away, sizes = videos()
    whole, single, merged = SOTMetrics(rules), SOTMetrics(rules), SOTMetrics(rules)
    whole.add_all(truth, pred, away, sizes)
    for n in truth: single.add(n, truth[n], pred[n], away[n], sizes[n])
    for n in reversed(truth): merged.add(n, single.videos[n])
    same(single.value, whole.value, eps=1e-12)
    same(merged.value, whole.value, eps=1e-12)
    same(single.table().iloc[-1].to_dict(), whole.table().iloc[-1].to_dict(), eps=1e-12)
    assert all(0 <= v <= 1 for v in whole.value.values())
    for k,c in whole.curves.items(): assert (np.diff(c) <= 0).all() if k == 'success' else (np.diff(c) >= 0).all(), k

@pytest.mark.parametrize('rules', ['otb', 'lasot', 'pytracking', 'all_frames'])
def test_moving_and_scaling_everything(rules):
    "Overlap and normalised distance know no place and no size; the distance knows the size"
    truth, pred, away, _ = videos(1)
    put = lambda o, f, d: {n: b*f + d for n,b in o.items()}
    a, b = sot_frames(put(truth, 1, 300), put(pred, 1, 300), rules, away), sot_frames(put(truth, 2, 900), put(pred, 2, 900), rules, away)
    assert a.valid.all() and len(a.iou) > 50
    same(a.iou, b.iou, eps=1e-9)
    same(a.error*2, b.error, eps=1e-9)
    same(a.norm_error, b.norm_error, eps=1e-9)

def test_a_perfect_tracker():
    truth = videos(2)[0]
    v = combine_sot(sot_scores(truth, truth, 'all_frames' if all((t[:,:2] > 0).all() for t in truth.values()) else 'pytracking').values(), 'pytracking')
    same((v['success'], v['precision'], v['norm_precision'], v['norm_precision_auc'], v['ao'], v['sr75']), (20/21, 1., 1., 1., 1., 1.), eps=1e-9)

def test_order_of_videos_and_thresholds():
    gt, pred = np.array([[10,10,30,30], [10,10,20,20]]), np.array([[12,10,32,30], [40,40,50,50]])
    th = np.array([.9, 0, .5])
    same(success_overlap(gt, pred, th, 2), np.array([0, .5, .5]))
    same(success_overlap(gt, pred, [0., .5, .9], 4), np.array([.25, .25, 0]))
    same(success_error(gt[:,:2], pred[:,:2], [100, 1, 2], 2), np.array([1., 0, .5]))

def test_nan_results_miss_and_are_counted():
    truth, pred, *_ = videos(3, 1)
    pred['v0'][5:8] = np.nan
    m = SOTMetrics('all_frames')
    m.add_all(truth, pred)
    f = sot_frames(truth, pred, 'all_frames')
    assert (f.iou[5:8] <= 0).all() and not (f.error[5:8] <= 1e9).any()
    assert int(m.table().lost['v0']) == 3 and np.isfinite(list(m.value.values())).all()
    with expect_error(ValueError, 'v0: frame 5 has the result [nan'): sot_scores(truth, pred, 'pytracking')
    for rules in ('otb', 'uav123', 'lasot', 'tnl2k'):     # what the MATLAB toolkits do
        filled = sot_frames(truth, pred, rules)
        same(filled.iou[5:8], sot_frames(truth, {'v0': np.where(np.isnan(pred['v0']), pred['v0'][4], pred['v0'])}, 'all_frames').iou[5:8], where=rules)
        assert int(filled.noted['lost'][0]) == 3

def test_faults_of_arrays():
    truth, pred, away, _ = videos(4, 2)
    with expect_error(ValueError, 'no result for v1 (1 of 2 videos)'): sot_scores(truth, {'v0': pred['v0']})
    with expect_error(ValueError, 'v0: the result has 3 boxes'): sot_scores(truth, dict(pred, v0=pred['v0'][:3]))
    with expect_error(ValueError, 'v1: the truth has no box'): sot_scores(dict(truth, v1=[]), pred)
    with expect_error(ValueError, 'v0, truth: boxes have shape (2, 5)'): sot_scores(dict(truth, v0=np.zeros((2,5))), pred)
    with expect_error(ValueError, 'v0, result: frame 2 is [inf'): sot_scores(truth, dict(pred, v0=np.where(np.arange(len(pred['v0']))[:,None] == 2, np.inf, pred['v0'])))
    with expect_error(ValueError, 'absent: v1 has none'): sot_scores(truth, pred, 'lasot', {'v0': away['v0']})
    with expect_error(ValueError, 'v0: no frame of it counts'): sot_scores(truth, pred, 'lasot_present', {n: np.ones(len(t)) for n,t in truth.items()})
    with expect_error(ValueError, 'some benchmarks keep their truth'): sot_scores({'a': truth['v0'][:1]}, {'a': pred['v0']})
    longer = {n: np.concatenate([b, b[:2]]) for n,b in pred.items()}
    same(combine_sot(sot_scores(truth, longer, 'lasot', away).values(), 'lasot')['success'], combine_sot(sot_scores(truth, pred, 'lasot', away).values(), 'lasot')['success'])
    shorter = {n: b[:-4] for n,b in pred.items()}
    lost = {n: np.concatenate([b[:-4], np.full((4,4), np.nan)]) for n,b in pred.items()}
    same(sot_scores(truth, shorter, 'trackingnet')['v0']['success'], sot_scores(truth, lost, 'trackingnet')['v0']['success'])

def test_plots_of_all_kinds(tmp_path):
    import matplotlib.pyplot as plt
    for plot,name in ((plot_success_curve, 'success'), (plot_precision_curve, 'precision'), (plot_norm_precision_curve, 'norm_precision')):
        ax = plot(np.linspace([1, .5], 0, 51).T, ['a', 'b'], plot_save_path=tmp_path)
        assert (tmp_path/f'{name}_plot.pdf').stat().st_size > 1000
        assert [t.get_text()[0] for t in ax.get_legend().get_texts()] == ['a', 'b']
        plt.close('all')

# regions and VOT ---------------------------------------------------------------------------------------------------------------------

def test_upright_whole_boxes_overlap_as_boxes_do():
    rng = np.random.default_rng(0)
    a, b = rng.integers(1, 40, (2,200,4)).astype(float)
    a[:,2:], b[:,2:] = a[:,2:] + 1, b[:,2:] + 1
    lo, hi = np.maximum(a[:,:2], b[:,:2]), np.minimum(a[:,:2]+a[:,2:], b[:,:2]+b[:,2:])
    inter = np.maximum(hi-lo, 0).prod(1)
    same(region_overlaps(a, b), inter/(a[:,2:].prod(1) + b[:,2:].prod(1) - inter), eps=1e-12)
    corners = lambda r: np.stack([r[:,0], r[:,1], r[:,0]+r[:,2]-1, r[:,1], r[:,0]+r[:,2]-1, r[:,1]+r[:,3]-1, r[:,0], r[:,1]+r[:,3]-1], 1)
    same(region_overlaps(corners(a), b), region_overlaps(a, b), eps=1e-12)
    same(region_overlaps(a, corners(b)), region_overlaps(corners(b), a), eps=1e-12)

def test_polygons_against_a_drawing():
    "Large polygons overlap nearly as their exact areas do"
    import cv2
    rng = np.random.default_rng(1)
    for _ in range(20):
        turn = lambda: (lambda t, c, s: c + (np.array([[-1,-1],[1,-1],[1,1],[-1,1]])*s) @ np.array([[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]]))(rng.uniform(0, 3), rng.uniform(180, 260, 2), rng.uniform(60, 120, 2))
        p, q = turn(), turn()
        inter = cv2.intersectConvexConvex(p.astype(np.float32), q.astype(np.float32))[0]
        exact = inter/(cv2.contourArea(p.astype(np.float32)) + cv2.contourArea(q.astype(np.float32)) - inter)
        for raster in ('vot', 'pysot'): same(float(region_overlaps([p.ravel()], [q.ravel()], None, raster)[0]), float(exact), eps=.02)

def trajectory(seed, n=60):
    rng, code = np.random.default_rng(seed), [1]
    while len(code) < n: code += [-1]*int(rng.integers(5, 25)) + [2, 0, 0, 0, 0, 1]
    code = code[:n]
    gt = [[50, 50, 20, 20]]*n
    return gt, [[float(c)] if c >= 0 else [50 + rng.normal(0, 4), 50, 20, 20] for c in code]

def test_supervised_protocol_by_hand():
    "Accuracy, failures and the curve again, in loops"
    data = {f's{k}': trajectory(k) for k in range(5)}
    m, accuracy, runs, fails = VOTMetrics((5, 20)), [], [], 0
    for n,(gt, tr) in data.items():
        m.add(n, gt, tr)
        iou = [calculate_region_overlap(g, r) for g,r in zip(gt, tr)]
        start, rated, run = 0, [], []
        for i,(r,o) in enumerate(zip(tr, iou)):
            if r == [1.]: start, run = i, []
            if r == [2.]: runs.append((run, False)); run, fails = None, fails+1
            if run is not None: run.append(o)
            if len(r) > 1 and i - start >= 10: rated.append(o)
        if run: runs.append((run, True))
        accuracy.append(np.mean(rated) if rated else 0)
    length = max(len(o) for o,_ in runs)
    curve = [np.mean([sum(o[1:j+1])/j for o,ok in runs if not ok or len(o) > j]) for j in range(1, length)]
    same(m.value['accuracy'], float(np.mean(accuracy)), eps=1e-12)
    assert m.value['failures'] == fails > 5
    same(m.value['eao'], float(np.mean(curve[4:20])), eps=1e-12)
    seed = [[d[i] for d in data.values()] for i in (1, 0)]
    same(eval_sot_accuracy_robustness(*seed), dict(accuracy=m.value['accuracy'], robustness=fails/300*100, num_fails=fails), eps=1e-12)
    same(eval_sot_eao(*seed, interval=[5, 20])['eao'], m.value['eao'], eps=1e-12)

def test_a_result_that_was_not_supervised():
    with expect_error(ValueError, 'a: the result does not begin with the sign 1'): VOTMetrics().add('a', [[1,1,5,5]], [[1,1,5,5]])
    with expect_error(ValueError, 'trajectory: frame 1 has 3 numbers'): count_failures([[1], [1,2,3]])
    with expect_error(ValueError, 'there are no videos to combine'): VOTMetrics().value
    with expect_error(ValueError, 'there are no videos to combine'): VOTAnchorMetrics().value

def test_grace_of_anchors():
    assert anchor_progress([]) == 0 and anchor_progress([.5]*30) == 30 and anchor_progress([.1]*9) == 9 and anchor_progress([.1]*10) == 0

# published scores --------------------------------------------------------------------------------------------------------------------

def test_otb_as_published():
    otb = shared_data('sot', 'OTB')
    r = sot_report(otb, [otb/'results'/n for n in ('STRUCK', 'SiamFC', 'ATOM', 'SiamRPN')], attributes=str(otb/'attr_list.txt'))
    s = json.loads((otb/'STRUCK_scores_tb100_ALL.json').read_text())
    same(float(r.table.ao['STRUCK']), s['overlapScores'][s['seqs'].index('Football1')], eps=1e-12)
    same([round(float(v), 6) for v in r.table.precision[['STRUCK', 'SiamFC']]], [1., .986486])
    assert list(r.tables['attributes'].index) == ['BC', 'IPR', 'OPR', 'ALL']
    for part,want in (('cvpr13', 47.209), ('tb50', 38.395), ('tb100', 46.172)):
        s = json.loads((otb/f'STRUCK_scores_{part}_ALL.json').read_text())
        v = combine_sot([dict(success=np.array(s['successRateList']), precision=np.array(s['precisionList']), norm_precision=np.zeros(51), divide=1, sr50=0, sr75=0, iou_sum=0, iou_frames=1)], 'otb')
        same((round(v['success']*100, 3), round(v['precision'], 6)), (want, round(s['precisionList'][20], 6)))

def test_lasot_as_published():
    files = shared_data('sot', 'LaSOT', 'LaSOT_test280_gt_absent.zip'), shared_data('sot', 'LaSOT', 'results_ATOM.zip')
    r = sot_report(*files, 'lasot', hardest=0)
    same([round(float(v), 4) for v in r.table.iloc[0][['success', 'precision', 'norm_precision']]], [.5143, .5054, .5768])
    assert any('280 sequences, 685360 frames, of which 18346 marked absent' in n for n in r.notes)
    sequences = sot_truth(files[0], 'lasot')
    truth, pred = {s.name: _corners(s.boxes) for s in sequences}, {n: b[0] for n,b in read_sot_tracker(sequences, files[1]).items()}
    for rules,want in (('all_frames', (.5153, .5068, .5773)), ('lasot_present', (.5260, .5172, .5896)), ('pytracking_lasot', (.5143, .5054, .5768))):
        v = combine_sot(sot_scores(truth, pred, rules, {s.name: ~s.visible for s in sequences}).values(), rules)
        same([round(v[k], 4) for k in ('success', 'precision', 'norm_precision')], list(want), where=rules)
        if rules == 'all_frames': same([round(combine_sot([sot_scores({n: truth[n]}, {n: pred[n]}, rules)[n]], rules)['success'], 4) for n in ('airplane-1', 'person-5')], [.4569, .5979])

def test_vot2019_as_published():
    r = sot_report(shared_data('sot', 'VOT2019', 'VOT2019_pysot.json'), shared_data('sot', 'VOT2019', 'results_Ocean_VOT2019_0.323.zip'), 'vot2019', 'pysot')
    same((round(float(r.table.eao.iloc[0]), 4), int(r.table.failures.iloc[0]), round(float(r.table.robustness.iloc[0]), 4), round(float(r.table.accuracy.iloc[0]), 3)), (.3227, 80, .4013, .592))

# files -------------------------------------------------------------------------------------------------------------------------------

@pytest.fixture
def small(tmp_path):
    "Truth and results of two sequences, as x,y,w,h"
    rng, boxes = np.random.default_rng(0), {}
    for n in ('ape', 'bee'):
        boxes[n] = np.round(np.concatenate([rng.uniform(20, 90, (30,2)), rng.uniform(10, 40, (30,2))], 1))
        for where,b in (('truth', boxes[n]), ('mine', boxes[n] + [2,1,0,0])):
            (tmp_path/where).mkdir(exist_ok=True)
            (tmp_path/where/f'{n}.txt').write_text(''.join(','.join(f'{v:g}' for v in r) + '\n' for r in b))
    return tmp_path

def score(path, **kw): return sot_report(path/'truth', path/'mine', **kw).table.iloc[0].to_dict()

def test_forms_of_text(small):
    want = score(small)
    ape = small/'mine'/'ape.txt'
    plain = ape.read_text()
    for text in (plain.replace(',', '\t'), plain.replace(',', ' '), plain.replace('\n', '\r\n'), '\ufeff' + plain, plain.replace(',', ', ')):
        ape.write_bytes(text.encode())
        same(score(small), want)
    ape.unlink()
    (small/'mine'/'ape.txt.gz').write_bytes(gzip.compress(plain.encode()))
    same(score(small), want)
    with zipfile.ZipFile(small/'mine.zip', 'w') as z:
        z.writestr('deep/ape.txt', plain)
        z.write(small/'mine'/'bee.txt', 'deep/bee.txt')
    same(sot_report(small/'truth', small/'mine.zip').table.iloc[0].to_dict(), want)

def test_faults_of_files(small):
    ape = small/'mine'/'ape.txt'
    lines = ape.read_text().splitlines()
    for bad,said in ((lines[:3] + ['1,2,x,4'] + lines[4:], "ape.txt:4: 'x' is no number"), (lines[:3] + ['1,2,3'] + lines[4:], 'ape.txt:4'), ([], 'mine: ape: the result has 0 boxes, the truth 30'), (lines[:7], 'mine: ape: the result has 7 boxes, the truth 30')):
        ape.write_text('\n'.join(bad) + '\n')
        with expect_error(ValueError, said): score(small)
    ape.unlink()
    with expect_error(ValueError, 'has no result for ape'): score(small)
    assert 'no result for 1 sequences (ape), left out' in ' '.join(sot_report(small/'truth', small/'mine', missing='skip').notes)
    (small/'mine'/'cow.txt').write_text('1,2,3,4\n')
    assert 'not scored, as there is no truth: cow' in ' '.join(sot_report(small/'truth', small/'mine', missing='zero').notes)
    for p in (small/'mine').iterdir(): p.unlink()
    with expect_error(ValueError, 'has no result'): score(small)
    with expect_error(ValueError, "benchmark is 'moon'"): sot_report(small/'truth', small/'mine', 'moon')

def test_several_trackers_and_their_files(small):
    for n,d in (('other', 9), ('third', 0)):
        (small/'all'/n).mkdir(parents=True)
        for p in (small/'truth').iterdir(): (small/'all'/n/p.name).write_text(''.join(','.join(f'{v:g}' for v in np.array(l.split(','), float) + [d,0,0,0]) + '\n' for l in p.read_text().splitlines()))
    r = sot_report(small/'truth', small/'all')
    assert list(r.table.index) == ['third', 'other']
    files = {p.name for p in r.save(small/'out')}
    assert {'scores.csv', 'sequences.csv', 'success.png', 'precision.png', 'norm-precision.png', 'report.html'} <= files
    same(float(pd.read_csv(small/'out'/'scores.csv', index_col=0).success['third']), 20/21, eps=1e-12)
    assert '<td>' in (small/'out'/'report.html').read_text() and 'third' in r.text()

@pytest.mark.parametrize('benchmark', [b for b in SOT_BENCHMARKS if not b.startswith('vot') and b not in ('got10k',)])
def test_every_benchmark_takes_plain_files(benchmark, small):
    r = sot_report(small/'truth', small/'truth', benchmark)
    assert float(r.table.ao.iloc[0]) == 1 and [s.name for s in sot_truth(small/'truth', benchmark)] == ['ape', 'bee']

def test_metrics_open_no_torch():
    code = 'import sys, vidnb.metrics.vot, vidnb.metrics.sot_curves; assert "torch" not in sys.modules'
    subprocess.run([sys.executable, '-c', code], check=True, env=dict(os.environ, MPLBACKEND='Agg'))

# MATLAB's toolkit, line by line -----------------------------------------------------------------------------------------------------

def otb_matlab(res, anno):
    "calcSeqErrRobust.m for x,y,w,h, with MATLAB's way to judge a condition: all elements of a row"
    res = res.copy()
    for i in range(1, len(res)):
        if ((np.isnan(res[i]) | (res[i,2] <= 0) | (res[i,3] <= 0)) & ~np.isnan(anno[i])).all(): res[i] = res[i-1]
    res[0] = anno[0]
    error = np.sqrt((((res[:,:2] + (res[:,2:]-1)/2) - (anno[:,:2] + (anno[:,2:]-1)/2))**2).sum(1))
    ok = (anno > 0).sum(1) == 4
    a, b = res[ok], anno[ok]
    side = lambda k: np.maximum(0, np.minimum(a[:,k]+a[:,k+2]-1, b[:,k]+b[:,k+2]-1) - np.maximum(a[:,k], b[:,k]) + 1)
    cover, common = -np.ones(len(ok)), side(0)*side(1)
    cover[ok] = common/(a[:,2]*a[:,3] + b[:,2]*b[:,3] - common)
    error[~ok] = -1
    return np.array([(cover > x).sum() for x in np.arange(21)*.05])/len(anno), np.array([(error <= x).sum() for x in range(51)])/len(anno)

@pytest.mark.parametrize('seed', range(12))
def test_otb_as_matlab_counts(seed):
    rng, n = np.random.default_rng(seed), 80
    anno = np.round(np.concatenate([rng.uniform(-2, 60, (n,2)), rng.uniform(5, 40, (n,2))], 1)*4)/4
    res = anno + np.round(rng.normal(0, 4, (n,4))*4)/4
    res[rng.random(n) < .15] = np.nan
    res[rng.random(n) < .1, 2:] = 0
    anno[1:][rng.random(n-1) < .1] = np.nan
    corners = lambda b: {'v': np.concatenate([b[:,:2], b[:,:2]+b[:,2:]], 1)}
    got = sot_scores(corners(anno), corners(res), 'otb')['v']
    for k,w in zip(('success', 'precision'), otb_matlab(res, anno)): same(got[k]/got['divide'], w, eps=1e-12, where=f'{seed}, {k}')
