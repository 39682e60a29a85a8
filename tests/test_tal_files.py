"Real files of ActivityNet and THUMOS14 give the figures of their authors, and damaged ones a clear answer."
import csv, json, subprocess, sys
import numpy as np
import pandas as pd
import pytest
from vidnb.core.spans import grouped_nms, soft_nms, temporal_nms
from vidnb.core.testing import expect_error, shared_data, test_same as same
from vidnb.localization.tables import read_table
from vidnb.localization.tal_files import (read_activitynet, read_activitynet_results, read_thumos, read_thumos_classes, read_thumos_detections, write_activitynet,
    write_activitynet_results, write_thumos, write_thumos_detections)
from vidnb.localization.tal_report import read_tal, tal_report
from vidnb.metrics.detections import ProposalRecall, detection_ap, mean_ap
from vidnb.metrics.localization import average_precision_at_temporal_iou, average_recall_at_avg_proposals

def anet(*p): return shared_data('tal', 'activitynet', *p)
def thumos(*p): return shared_data('tal', 'thumos14', *p)

@pytest.fixture(scope='module')
def real():
    spans, videos = read_activitynet(anet('anet_anno_action.json'), 'validation', anet('video_info_new.csv'))
    return spans, videos, read_activitynet_results(anet('sample_detection_prediction.json'))

def test_activitynet_sample(real):
    "The official sample is the truth with score 1: mAP 1 for the videos of the truth, .971976 with the 198 others"
    spans, videos, found = real
    assert (len(videos), len(found), found.video.nunique()) == (4728, 7654, 4926)
    for only,want in ((True, 1.), (False, .971976)):
        m = mean_ap(detection_ap(spans, found[found.video.isin(videos.video)] if only else found))
        same(m.to_numpy(), np.full(11, want), eps=5e-7)

def test_whole_annotation():
    spans, videos = read_activitynet(anet('anet_anno_action.json'), info=anet('video_info_new.csv'))
    same(videos.subset.value_counts().to_dict(), dict(training=9649, validation=4728, testing=4851))
    names = [r['action'] for r in csv.DictReader(anet('action_name.csv').open())]
    assert set(spans.label) == set(names) and len(names) == 200

def test_activitynet_round_trip(real, tmp_path):
    spans, videos, found = real
    a, b = read_activitynet(write_activitynet(tmp_path/'gt.json', spans, videos))
    same(a[['start','end']].to_numpy(), spans.sort_values('video', key=lambda v: v.map({x:i for i,x in enumerate(videos.video)}), kind='stable')[['start','end']].to_numpy(), eps=1e-6)
    same(b.values.tolist(), videos.values.tolist())
    back = read_activitynet_results(write_activitynet_results(tmp_path/'p.json', found))
    same(back[['start','end','score']].to_numpy(), found[['start','end','score']].to_numpy(), eps=1e-6)
    assert back.video.tolist() == found.video.tolist() and back.label.tolist() == found.label.tolist()

def test_thumos_published():
    "S-CNN's scores through the steps of its authors give the figures that their MATLAB evaluation stored, to every printed digit"
    io = pytest.importorskip('scipy.io', reason='scipy comes with fastai')
    names, truth = read_thumos_classes(thumos('annotation_test')), read_thumos(thumos('annotation_test'))
    s, w = io.loadmat(thumos('scnn_res_seg_swin.mat'))['seg_swin'], io.loadmat(thumos('scnn_window_weight.mat'))['weight']
    s = s[s[:,10] != 0]
    score = s[:,8]*w[np.log2(s[:,1]/16).astype(int), s[:,10].astype(int) - 1]
    for thr,want in zip(np.arange(1, 6)*.1, io.loadmat(thumos('scnn_official_eval_result.mat'))['mAP'][0]):
        row, new = grouped_nms(s[:,4:6], score, (s[:,0]*100 + s[:,10]).astype(int), alpha=None, low_threshold=max(0, thr - .1))
        row = row[np.argsort(-new, kind='stable')]
        det = pd.DataFrame(dict(video=[f'video_test_{int(v):07d}' for v in s[row,0]], start=[float(f'{x:.1f}') for x in s[row,4]], end=[float(f'{x:.1f}') for x in s[row,5]],
                                label=[names[int(c)] for c in s[row,10]], score=[float(f'{x:.5g}') for x in score[row]]))
        same(float(detection_ap(truth, det, [thr], 'thumos14').mean().iloc[0]), float(want), eps=1e-9)
    same(round(float(want), 7), .1897008)

def test_thumos_files(tmp_path):
    names, truth = read_thumos_classes(thumos('annotation_test')), read_thumos(thumos('annotation_test'))
    clear = truth[truth.label != 'Ambiguous']
    assert (len(names), len(clear), truth.video.nunique()) == (20, 3358, 213)
    det = read_thumos_detections(thumos('DERIVED_scnn_detections_nms0.4_official_txt_format.txt'), names)
    same(round(float(detection_ap(truth, det, [.5], 'thumos14').mean().iloc[0]), 6), .189701)
    back = read_thumos(write_thumos(tmp_path/'gt', truth, names))
    assert back.values.tolist() == truth.values.tolist()
    assert read_thumos_detections(write_thumos_detections(tmp_path/'d.txt', det, names), names).values.tolist() == det.values.tolist()

def vidnb(*args): return subprocess.run([sys.executable, '-W', 'ignore', '-m', 'vidnb', *map(str, args)], capture_output=True, text=True)

def test_command(tmp_path):
    "Both formats from the command line: figures printed, tables and curves saved"
    out = vidnb('eval', 'tal', '--truth', anet('anet_anno_action.json'), '--pred', anet('sample_detection_prediction.json'), '--subset', 'validation', '--info', anet('video_info_new.csv'), '--known-only')
    assert out.returncode == 0 and 'average-mAP    1.000000' in out.stdout, out.stdout + out.stderr
    out = vidnb('eval', 'tal', '--truth', thumos('annotation_test'), '--pred', thumos('DERIVED_scnn_detections_nms0.4_official_txt_format.txt'), '--iou', .5, '--out', tmp_path/'report')
    assert out.returncode == 0 and 'mAP@0.50       0.189701' in out.stdout, out.stdout + out.stderr
    for name in ('map.csv', 'classes.csv', 'groups.csv', 'false_positives.csv', 'impact.csv', 'recall_curve.csv', 'map.png', 'classes.png', 'groups.png', 'false_positives.png', 'recall.png'):
        assert (tmp_path/'report'/name).stat().st_size > 50, name
    assert len(pd.read_csv(tmp_path/'report'/'classes.csv')) == 20

def test_mistakes_on_the_command_line(tmp_path):
    (tmp_path/'cut.json').write_text(anet('sample_detection_prediction.json').read_text()[:5000])
    out = vidnb('eval', 'tal', '--truth', anet('anet_anno_action.json'), '--pred', tmp_path/'cut.json')
    assert out.returncode == 1 and 'cut.json:1: no json, or cut short' in out.stderr and 'Traceback' not in out.stderr, out.stderr
    assert vidnb('eval').returncode == 2

truth = pd.DataFrame([('a',1.,9.,'jump'), ('a',20.,44.,'dive')], columns=['video','start','end','label'])
found = pd.DataFrame([('a',1.,9.,'jump',.9), ('a',20.,44.,'dive',.8)], columns=[*truth.columns,'score'])
videos = pd.DataFrame(dict(video=['a','b'], duration=[40.,10.], subset='validation'))

@pytest.fixture
def files(tmp_path): return write_activitynet(tmp_path/'gt.json', truth, videos), write_activitynet_results(tmp_path/'pred.json', found)

def changed(path, old, new):
    text = path.read_text()
    assert old in text, text
    path.write_text(text.replace(old, new, 1))

def test_empty_video(files, tmp_path):
    "A video in which nothing happens and nothing is found changes nothing"
    r = tal_report(read_tal(*files))
    same(float(r['map']['average-mAP']), 1.)
    write_activitynet_results(files[1], found, ['b'])
    same(tal_report(read_tal(*files))['map'].to_numpy(), r['map'].to_numpy())

def test_video_without_truth(files):
    "What is found where nothing happens is wrong, and so is what is found in an unknown video, which is noted"
    for video in 'bc':
        write_activitynet_results(files[1], pd.concat([found, pd.DataFrame([(video,0.,5.,'jump',.95)], columns=found.columns)]))
        data = read_tal(*files)
        same(float(tal_report(data)['map']['mAP@0.50']), .75)
        assert any('videos without truth, such as c' in n for n in data.notes) == (video == 'c')
    same(float(tal_report(read_tal(*files, known_only=True))['map']['mAP@0.50']), 1.)

def test_past_the_end(files):
    "A true span that ends after its video stays as it is in the file, and is noted"
    data = read_tal(*files)
    same(data.truth.end.max(), np.float64(44))
    assert any('1 true spans end after their video' in n for n in data.notes)

def test_reversed_segments(files):
    "In truth an error that names the place; in detections a wrong answer that meets nothing"
    changed(files[1], '[1.0, 9.0]', '[9.0, 1.0]')
    data = read_tal(*files)
    same(float(tal_report(data)['map']['mAP@0.50']), .5)
    assert any('1 detections end before they start, the first in a' in n for n in data.notes)
    changed(files[0], '[1.0, 9.0]', '[9.0, 1.0]')
    with expect_error(ValueError, "gt.json: 'a': annotation 0 ends before it starts: 1 < 9 s"): read_tal(*files)

def test_no_length(files):
    "Spans without length are allowed, found by the same span only, and do no harm to suppression"
    changed(files[0], '[1.0, 9.0]', '[9.0, 9.0]')
    same(float(tal_report(read_tal(*files))['map']['mAP@0.50']), .5)
    changed(files[1], '[1.0, 9.0]', '[9.0, 9.0]')
    data = read_tal(*files)
    same(float(tal_report(data)['map']['mAP@0.50']), 1.)
    assert any('1 true spans have no length' in n for n in data.notes)
    rows = np.array([[1,1,.9],[1,1,.8],[0,2,.7]])
    same(soft_nms(rows, .4, .5, .9, 10), rows)
    same(temporal_nms(rows, .5), rows)

@pytest.mark.parametrize('value', ['NaN', 'null', '"high"', 'Infinity', 'true'])
def test_bad_score(files, value):
    changed(files[1], '"score": 0.8', f'"score": {value}')
    with expect_error(ValueError, "pred.json: results['a'][1]: score is"): read_tal(*files)

def test_nan_in_arrays():
    with expect_error(ValueError, 'NaN'): soft_nms(np.array([[0,1,np.nan]]), .4, .5, .9, 10)
    with expect_error(ValueError, 'NaN'): temporal_nms(np.array([[0,1,np.nan]]), .5)
    with expect_error(ValueError, 'NaN'): average_recall_at_avg_proposals({'a':[[0,1]]}, {'a':[[0,1,np.nan]]}, 1)
    with expect_error(ValueError, 'NaN'): average_precision_at_temporal_iou({'a':[[0,1]]}, [['a',0,0,np.nan,.5]])
    with expect_error(ValueError, 'detections: score of row 0 (video a) is nan'): detection_ap(truth, found.assign(score=np.nan))

def test_duplicate_ids(files):
    "A video that stands twice in a file, or is added twice to a metric"
    changed(files[0], '"b":', '"a":')
    with expect_error(ValueError, "gt.json: 'a' stands twice in one object"): read_tal(*files)
    changed(files[1], '"results": {', '"results": {"a": [], ')
    with expect_error(ValueError, "pred.json: 'a' stands twice in one object"): read_activitynet_results(files[1])
    with expect_error(ValueError, 'video a was added before'): ProposalRecall().add(truth, found).add(truth, found)

def test_unknown_label(files):
    "A label without truth is left out and noted; mAP is a mean over the classes of the truth"
    changed(files[1], '"dive"', '"dlve"')
    data = read_tal(*files)
    assert any("1 detections have labels without truth, such as 'dlve'" in n for n in data.notes)
    same(float(tal_report(data)['map']['mAP@0.50']), .5)
    with pytest.warns(UserWarning, match='1 detections are of classes without truth .dlve.'): same(float(detection_ap(data.truth, data.found, [.5]).mean().iloc[0]), .5)

@pytest.mark.parametrize('part', [.2, .5, .9, .999])
def test_cut_json(files, part):
    for f in files:
        whole = f.read_text()
        f.write_text(whole[:int(len(whole)*part)])
        with expect_error(ValueError, f'{f.name}:1: no json, or cut short'): read_tal(*files)
        f.write_text(whole)

@pytest.mark.parametrize('part', [.3, .6, .97])
def test_cut_csv(tmp_path, part):
    "A csv file that ends in the middle of a line names the line"
    rows = [f'{i}.25,{i}.5,{i}.75' for i in range(20)]
    text = 'a,b,c\n' + '\n'.join(rows)
    cut = text[:int(len(text)*part)].rsplit(',', 1)[0]
    (tmp_path/'t.csv').write_text(cut)
    with expect_error(ValueError, f't.csv:{cut.count(chr(10))+1} has '): read_table(tmp_path/'t.csv')

def test_cut_text(tmp_path):
    write_thumos_detections(tmp_path/'d.txt', found, {1:'jump', 2:'dive'})
    (tmp_path/'d.txt').write_text((tmp_path/'d.txt').read_text()[:-6])
    with expect_error(ValueError, 'd.txt:2'): read_thumos_detections(tmp_path/'d.txt', {1:'jump', 2:'dive'})

def test_nothing_is_half_written(tmp_path):
    "A table that cannot be written leaves the file that was there"
    f = write_activitynet_results(tmp_path/'p.json', found)
    before = f.read_bytes()
    with expect_error(ValueError, 'score of row 0'): write_activitynet_results(f, found.assign(score=np.nan))
    assert f.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ['p.json']
