"ActivityNet's dataset: golden group B, the real annotation file, files and results that are wrong, and videos made on the spot."
import csv
import json
import numpy as np
import pytest
from vidnb.core.testing import expect_error, golden, shared_data, shared_root, test_same as same
from vidnb.datasets.activitynet import ActivityNetDataset, read_videos
from vidnb.datasets.base import build_dataset
from vidnb.localization.tables import write_arrays

names = [f'ActivityNetDataset.{k}' for k in ('proposals2json/0', 'proposals2json/1', 'evaluate/0/100', 'evaluate/0/20', 'evaluate/1/100', 'evaluate/1/20')]

def test_no_case_is_forgotten(): same([k for k in golden('B_localization') if k.startswith('ActivityNetDataset')], sorted(names, key=list(golden('B_localization')).index))

@pytest.mark.parametrize('name', names)
def test_golden(name):
    c = golden('B_localization')[name]
    ds = ActivityNetDataset(shared_root()/'golden'/c['inputs']['ann_file'], [])
    same(getattr(ds, name.split('.')[1].split('/')[0])(c['inputs']['results'], **c['params']), c['expected'], eps=1e-9)

def test_golden_in_any_order():
    "Nor does it matter how a score is scaled, nor which video comes first"
    c = golden('B_localization')['ActivityNetDataset.evaluate/0/20']
    ds = ActivityNetDataset(shared_root()/'golden'/c['inputs']['ann_file'], [])
    other = [dict(r, proposal_list=[dict(p, score=3*p['score']-7) for p in r['proposal_list']]) for r in reversed(c['inputs']['results'])]
    same(ds.evaluate(other, **c['params']), c['expected'], eps=1e-9)

# the real files

@pytest.fixture(scope='module')
def anet():
    f = lambda name: shared_data('tal', 'activitynet', name)
    return {s: ActivityNetDataset(f('anet_anno_action.json'), [], subset=s, video_info=f('video_info_new.csv')) for s in ('training', 'validation', 'testing')}

def test_real_annotations(anet):
    same({k: len(v) for k,v in anet.items()}, dict(training=9649, validation=4728, testing=4851))
    same(sum(len(v['annotations']) for v in anet['validation'].video_infos), 7293)
    same(sum(len(v['annotations']) for v in anet['testing'].video_infos), 0)
    labels = {a['label'] for d in anet.values() for v in d.video_infos for a in v['annotations']}
    with open(shared_data('tal', 'activitynet', 'action_name.csv')) as f: same(sorted(labels), sorted(r['action'] for r in csv.DictReader(f)))
    empty = sum(s == e for d in anet.values() for g in d.ground_truth().values() for s,e in g)
    late = sum(a['segment'][1] > v['duration_second']+1e-6 for d in anet.values() for v in d.video_infos for a in v['annotations'])
    same((empty, late), (12, 215))

def test_real_labels_in_a_pipeline(anet):
    "Spans of every validation video lie in [0,1], whatever the file says"
    from vidnb.transforms.localization import GenerateLocalizationLabels
    step, d = GenerateLocalizationLabels(), anet['validation']
    spans = np.concatenate([step(d.sample(i))['gt_bbox'] for i in range(len(d))])
    same((spans.shape, bool((spans[:,1] >= spans[:,0]).all()), float(spans.min()) >= 0, float(spans.max()) <= 1), ((7293, 2), True, True, True))

def test_real_prediction_is_perfect(anet):
    said = json.loads(shared_data('tal', 'activitynet', 'sample_detection_prediction.json').read_text())['results']
    d = anet['validation']
    got = d.evaluate([dict(video_name=v['video_name'], proposal_list=said[v['video_name'][2:]]) for v in d.video_infos], 'mAP')
    same(got, {**{f'mAP@{t:.2f}': 1. for t in np.linspace(.5, .95, 10)}, 'mAP': 1.}, eps=1e-9)

def test_real_labels_are_known(anet):
    ann, info = (shared_data('tal', 'activitynet', n) for n in ('anet_anno_action.json', 'video_info_new.csv'))
    names = [l for l in shared_data('tal', 'activitynet', 'action_name.csv').read_text().split('\n')[1:] if l]
    same(len(read_videos(ann, 'validation', info, names)), 4728)
    with expect_error(ValueError, "'Playing accordion' is none of the 199 classes"): read_videos(ann, None, None, [n for n in names if n != 'Playing accordion'])

# small files of one's own

def entry(*segments, **kwargs): return {**dict(duration_second=20., duration_frame=320, feature_frame=320, annotations=[dict(segment=list(s), label='run') for s in segments]), **kwargs}

def made(tmp_path, **videos):
    (tmp_path/'a.json').write_text(json.dumps(videos))
    return ActivityNetDataset(tmp_path/'a.json', [], tmp_path)

def result(name, *rows): return dict(video_name=name, proposal_list=[dict(segment=[s, e], score=c) for s,e,c in rows])

def test_videos_without_truth_and_without_proposals(tmp_path):
    ds = made(tmp_path, v_a=entry((2, 4), (10, 15)), v_b=entry(), v_c=entry((5, 6)))
    got = ds.evaluate([result('v_a', (2, 4, .9), (10, 15, .2)), result('v_b', (0, 9, .99)), result('v_c')])
    same(got['AR@100'], 2/3, eps=1e-12)             # what is proposed where nothing is costs budget, what is not proposed is missed
    with expect_error(ValueError, 'no true spans'): made(tmp_path, v_b=entry()).evaluate([result('v_b', (0, 9, .99))])
    same(list(made(tmp_path, v_b=entry(annotations=[])).ground_truth()), ['b'])

def test_segments_past_the_end(tmp_path):
    ds = made(tmp_path, v_a=entry((15, 25), (30, 40), feature_frame=160))
    same(ds.ground_truth()['a'], np.array([[15., 25.], [30., 40.]]))                                           # as the official figures count them
    from vidnb.transforms.localization import GenerateLocalizationLabels
    same(GenerateLocalizationLabels()(ds[0])['gt_bbox'], np.array([[1., 1.], [1., 1.]]))                       # features end at 10 s
    same(ds.evaluate([result('v_a', (15, 25, .5), (30, 40, .4))])['AR@100'], 1.)

def test_names_without_v(tmp_path):
    ds = made(tmp_path, video_test_0001=entry((2, 4)))
    same(ds.proposals2json([result('video_test_0001', (2, 4, 1.))]), dict(video_test_0001=[dict(segment=[2, 4], score=1.)]))
    same(ds.evaluate([result('video_test_0001', (2, 4, 1.))])['AR@1'], 1.)

@pytest.mark.parametrize('video,words', [
    (entry((4, 2)), 'v_a, annotation 0: the segment ends before it starts: 2 < 4 s'), (entry((4, 4)), None), (entry((4, float('nan'))), 'v_a, annotation 0: segment is [4, nan]'),
    (entry(annotations=None), 'v_a: annotations are None'), (entry(annotations=[[1, 2]]), 'v_a, annotation 0: segment is None'), (entry(duration_second='20'), "v_a: duration_second is '20'"),
    (entry(duration_frame=0), 'v_a: duration_frame is 0'), (entry(feature_frame=-16), 'v_a: feature_frame is -16'), (entry(duration_second=True), 'v_a: duration_second is True'), ([1], 'v_a: a video is an object')])
def test_entries_that_are_wrong(tmp_path, video, words):
    if words is None: return same(made(tmp_path, v_a=video).ground_truth()['a'], np.array([[4., 4.]]))
    with expect_error(ValueError, 'a.json: ' + words): made(tmp_path, v_a=video)

@pytest.mark.parametrize('text,words', [
    ('', 'a.json:1: no json, or cut short'), ('{"v_a": {"duration_second": 3,\n"dur', 'a.json:2: no json, or cut short'), ('[]', 'an object with an entry for each video is expected; got list'),
    ('{"v_a": {}, "v_b": {}, "v_a": {}}', "a.json: 'v_a' stands twice"), ('{"v_a": {"duration_second": 1, "duration_second": 2}}', "a.json: 'duration_second' stands twice")])
def test_files_that_are_wrong(tmp_path, text, words):
    (tmp_path/'a.json').write_text(text)
    with expect_error(ValueError, words): ActivityNetDataset(tmp_path/'a.json', [])

@pytest.mark.parametrize('text,words', [
    ('video,seconds\nv_a,x\n', "i.csv:2: could not convert string to float: 'x'"), ('name,seconds\nv_a,1\n', 'i.csv:1: no column video'), ('video,seconds\nv_a,1\nv_a,1\n', "i.csv:3: 'v_a' is there twice"),
    ('video,seconds,numFrame\nv_a,1,3\nv_b,1', 'i.csv:3: 2 fields under 3 names'), ('', 'the file is empty')])
def test_tables_that_are_wrong(tmp_path, text, words):
    made(tmp_path, v_a=entry())
    (tmp_path/'i.csv').write_text(text)
    with expect_error(ValueError, words): ActivityNetDataset(tmp_path/'a.json', [], video_info=tmp_path/'i.csv')

def test_results_that_are_wrong(tmp_path):
    ds = made(tmp_path, v_a=entry((2, 4)), v_b=entry((5, 6)))
    good = [result('v_a', (2, 4, .9)), result('v_b', (5, 6, .9))]
    for bad,words in (([good[0], result('v_b', (5, 6, float('nan')))], 'v_b: proposal 0 is [5.0, 6.0, nan]'), ([good[0], result('v_b', (5, 6, 1.), (5, float('inf'), 1.))], 'v_b: proposal 1 is'),
                      ([good[0], result('v_b', (6, 5, .9))], 'v_b: proposal 0 ends before it starts'), (good[:1], '1 of 2 videos have no result, such as v_b'), (good + good[1:], 'there are two results for v_b'),
                      (good + [result('v_c')], 'such as v_c'), ([good[0], dict(video_name='v_b', proposal_list=[dict(score=1)])], "v_b: a proposal is dict(segment=[start, end], score=...); KeyError"), (None, 'results are a list')):
        with expect_error(ValueError, words): ds.evaluate(bad)
    with expect_error(ValueError, 'v_a: None is none of the 1 classes'): ds.evaluate([good[0], result('v_b', (5, 6, .9))], 'mAP')
    labelled = [dict(r, proposal_list=[dict(p, label='runs') for p in r['proposal_list']]) for r in good]
    with expect_error(ValueError, "'runs' is none of the 1 classes; is it 'run'?"): ds.evaluate(labelled, 'mAP')
    same(ds.evaluate([result('v_a', (2, 2, .9), (2, 4, .8)), good[1]])['AR@100'], 1.)         # an empty proposal finds nothing and harms nothing

def test_official_file(tmp_path):
    "What is written is what the official tools ask for, and is there as a whole or not at all"
    ds = made(tmp_path, v_a=entry((2, 4)))
    out = ds.dump_results([result('v_a', (np.float32(2), np.float32(4), np.float64(.5)))], tmp_path/'deep'/'out.json', 'json', version='VERSION 1.2')
    same(json.loads(out.read_text()), dict(version='VERSION 1.2', results=dict(a=[dict(segment=[2., 4.], score=.5)]), external_data={}))
    before = out.read_bytes()
    with expect_error(ValueError, 'v_a: proposal 0 is [2.0, 4.0, nan]'): ds.dump_results([result('v_a', (2, 4, np.nan))], out, 'json')
    assert out.read_bytes() == before and [o.name for o in out.parent.iterdir()] == ['out.json']
    with expect_error(ValueError, 'a table of shape (3, 4) for 5 columns'): ds.dump_results([('v_a', np.zeros((3, 4)))], tmp_path/'tem', 'csv')

def test_features_of_every_kind(tmp_path):
    "A csv or npy file for each video, or one npz for all of them, through a described dataset"
    feats = dict(v_a=np.random.default_rng(0).random((20, 3), dtype=np.float32), v_b=np.random.default_rng(1).random((20, 3), dtype=np.float32))
    made(tmp_path, v_a=entry((2, 4)), v_b=entry())
    write_arrays(tmp_path/'csv', feats, '.csv', ['f0', 'f1', 'f2']); write_arrays(tmp_path/'npy', feats, '.npy'); write_arrays(tmp_path/'all.npz', feats)
    for where,ext in (('csv', '.csv'), ('npy', '.npy'), ('all.npz', '.csv')):
        steps = [dict(type='LoadLocalizationFeature', raw_feature_ext=ext), dict(type='GenerateLocalizationLabels'), dict(type='Collect', keys=['raw_feature', 'gt_bbox'], meta_keys=['video_name'])]
        ds = build_dataset(dict(type='ActivityNetDataset', ann_file=tmp_path/'a.json', pipeline=steps, data_prefix=tmp_path/where))
        same(ds[0], dict(raw_feature=feats['v_a'].T, gt_bbox=np.array([[.1, .2]]), img_meta=dict(video_name='v_a')), eps=1e-7)
        same(ds[1]['gt_bbox'].shape, (0, 2))

def test_features_in_worker_processes(tmp_path):
    torch = pytest.importorskip('torch')
    videos = {f'v_{i}': entry((2, 4)) for i in range(8)}
    made(tmp_path, **videos)
    feats = {k: np.full((20, 3), i, np.float32) for i,k in enumerate(videos)}
    write_arrays(tmp_path/'all.npz', feats)
    ds = ActivityNetDataset(tmp_path/'a.json', [dict(type='LoadLocalizationFeature'), dict(type='Collect', keys=['raw_feature'], meta_keys=[]), dict(type='ToTensor', keys=['raw_feature'])], tmp_path/'all.npz')
    got = torch.cat([b['raw_feature'] for b in torch.utils.data.DataLoader(ds, batch_size=4, num_workers=2)])
    same((got.shape, got[:,0,0].tolist()), (torch.Size([8, 3, 20]), [float(i) for i in range(8)]))
