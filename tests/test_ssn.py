"SSN's dataset against the numbers of the reference implementation (golden group B), and what it does with files and results that are wrong."
import json
import logging
from collections import Counter
from types import SimpleNamespace
import numpy as np
import pytest
from vidnb.core.testing import expect_error, golden, number_card, card_number, shared_root, test_same as same
from vidnb.datasets.base import build_dataset
from vidnb.datasets.ssn import KINDS, SSN_TEST, SSN_TRAIN, SSNDataset
from vidnb.datasets.ssn_proposals import SSNInstance, denormalize_proposals, match_proposals, read_proposals, spans_of
from vidnb.localization.proposals import write_localize_proposal_file

def cases(kind): return {k: c for k,c in golden('B_localization').items() if k.startswith(f'SSNDataset.{kind}/')}
def file_of(case): return shared_root()/'golden'/case['inputs']['ann_file']

def dataset(case, **kwargs):
    own = {k: v for k,v in case['params'].items() if k in ('train_cfg', 'test_cfg', 'filter_gt', 'use_regression', 'body_segments', 'aug_segments', 'aug_ratio', 'clip_len', 'frame_interval')}
    return SSNDataset(file_of(case), [], **{**dict(train_cfg=None, test_cfg=None, data_prefix=None), **own, **kwargs})

def numbers(p): return [p.start_frame, p.end_frame, p.num_video_frames, p.label, p.coverage, p.best_iou, p.overlap_self]

def test_number_of_cases(): assert Counter(k.split('/')[0] for k in golden('B_localization') if k.startswith('SSN')) == {'SSNDataset.internals': 2, 'SSNDataset.results_to_detections': 3, 'SSNDataset.evaluate': 3}

@pytest.mark.parametrize('name', ['SSNDataset.internals/0', 'SSNDataset.internals/1'])
class TestInternals:
    def test_instances_and_pools(self, name):
        c = golden('B_localization')[name]
        ds, want = dataset(c), c['expected']
        same([v['video_id'] for v in ds.video_infos], want['video_order'])
        for k in ('gts', 'proposals'): same([[float(x) for p in v[k] for x in numbers(p)] for v in ds.video_infos], [[float(x) for p in v for x in p] for v in want[k]], eps=1e-12)
        same([[v, [*map(float, numbers(p))], [*map(float, p.regression_targets)]] for v,p in ds.positive_pool], [[v, [*map(float, p)], [*map(float, t)]] for v,p,t in want['positive_pool']], eps=1e-12)
        same([len(ds.positive_pool), len(ds.incomplete_pool), len(ds.background_pool)], [want['num_positive'], want['num_incomplete'], want['num_background']])
        same([ds.positive_per_video, ds.background_per_video, ds.incomplete_per_video], want['per_video'])
        same(ds.reg_norm_consts, want['reg_norm_consts'], eps=1e-12)

    def test_stages(self, name):
        c = golden('B_localization')[name]
        ds = dataset(c)
        same([[list(ds._get_stage(p, v['total_frames'])) for p in v['proposals']] for v in ds.video_infos], c['expected']['stages'], eps=1e-12)

    def test_test_frames(self, name):
        c = golden('B_localization')[name]
        ds = dataset(c, test_mode=True)
        for i,want in enumerate(c['expected']['test_frames']):
            got = ds[i]
            for k,v in want.items(): same(got[k], v, eps=1e-6, where=k)
            same(got['reg_norm_consts'], c['expected']['reg_norm_consts'], eps=1e-12)

@pytest.mark.parametrize('name', [f'SSNDataset.results_to_detections/{i}' for i in range(3)])
@pytest.mark.parametrize('as_tuple', [False, True])
def test_detections(name, as_tuple):
    c = golden('B_localization')[name]
    results = [tuple(r[k] for k in ('relative_proposal_list', 'activity_scores', 'completeness_scores', 'bbox_preds')) for r in c['inputs']['results']] if as_tuple else c['inputs']['results']
    same(dataset(c, test_mode=True).results_to_detections(results, **c['params']), c['expected'], eps=1e-6)

@pytest.mark.parametrize('name', [f'SSNDataset.evaluate/{i}' for i in range(3)])
@pytest.mark.parametrize('attributes', [False, True])
def test_evaluate(name, attributes):
    c = golden('B_localization')[name]
    as_object = lambda o: SimpleNamespace(**{k: as_object(v) for k,v in o.items()}) if isinstance(o, dict) else o
    cfgs = {k: as_object(c['params'][k]) for k in ('train_cfg', 'test_cfg')} if attributes else {}
    same(dataset(c, test_mode=True, **cfgs).evaluate(c['inputs']['results'], 'mAP', c['params']['eval_dataset']), c['expected'], eps=1e-6)

def test_detections_slowly():
    "Row by row, as the definition says it"
    rng, ds = np.random.default_rng(0), dataset(cases('internals')['SSNDataset.internals/0'], test_mode=True)
    res = [dict(relative_proposal_list=rng.random((n,2)), activity_scores=rng.normal(size=(n,4)), completeness_scores=rng.normal(size=(n,3)), bbox_preds=rng.normal(size=(n,6))) for n in (7, 5)]
    got = ds.results_to_detections(res, top_k=8, softmax_before_filter=True)
    for r,v in zip(res, ds.video_infos):
        pairs = []
        for p in range(len(r['activity_scores'])):
            e = np.exp(r['activity_scores'][p,1:]); e /= e.sum()
            pairs += [(e[c]*np.exp(r['completeness_scores'][p,c]), p, c) for c in range(3)]
        for c in range(3):
            rows = [[*r['relative_proposal_list'][p], s, *r['bbox_preds'][p].reshape(3,2)[c]] for s,p,k in sorted(pairs)[-8:] if k == c]
            assert (v['video_id'] in got[c]) == bool(rows)
            if rows: same(got[c][v['video_id']], np.array(rows, np.float32), eps=1e-5)
    plain = ds.results_to_detections(res, top_k=0, softmax_before_filter=False)
    same(plain[1]['video_shared_0000'][:,2], (res[0]['activity_scores'][:,2]*np.exp(res[0]['completeness_scores'][:,1])).astype(np.float32), eps=1e-5)

# a small set of one's own: `many` has all kinds of proposals, `few` neither an incomplete one nor background

LENGTHS = dict(many=120, few=60)

@pytest.fixture
def made(tmp_path):
    cv2 = pytest.importorskip('cv2')
    for k,(name,n) in enumerate(LENGTHS.items()):
        (tmp_path/name).mkdir()
        for i in range(n): cv2.imwrite(str(tmp_path/name/f'img_{i+1:05d}.jpg'), number_card(i)[...,::1-2*k])
    truth, windows = dict(many=[[20, 50], [80, 110]], few=[[0, 55]]), dict(many=[[22, 52], [78, 112], [25, 33], [55, 65], [0, 12]], few=[[2, 55]])
    write_localize_proposal_file(tmp_path/'list.txt', [(k, n, [[1, *g] for g in truth[k]], match_proposals(windows[k], truth[k], [1]*len(truth[k]))) for k,n in LENGTHS.items()])
    return tmp_path

def small(root, steps=(), fn='list.txt', ratios=(1, 1, 2), **kwargs):
    cfg = json.loads(json.dumps(SSN_TRAIN))
    cfg['ssn']['assigner']['incomplete_overlap_threshold'] = .7
    cfg['ssn']['sampler'].update(num_per_video=sum(ratios), positive_ratio=ratios[0], background_ratio=ratios[1], incomplete_ratio=ratios[2])
    return SSNDataset(root/fn, list(steps), cfg, SSN_TEST, root, **kwargs)

def test_borrowed_proposals_bring_their_frames(made):
    "The colour says which video a frame is of, the card which frame"
    steps = [dict(type='SampleProposalFrames', clip_len=1, body_segments=5, aug_segments=(2, 2), aug_ratio=.5), dict(type='RawFrameDecode'), dict(type='FormatShape', input_format='NPTCHW')]
    ds, borrowed = small(made, steps), 0
    for _ in range(30):
        got = ds[1]
        for pics,((video,p),kind) in zip(got['imgs'].transpose(0, 1, 3, 4, 2), got['out_proposals']):
            assert {('few', 'many')[int(o[...,0].mean() > o[...,2].mean())] for o in pics} == {video}
            assert all(p.start_frame <= card_number(o) < p.end_frame for o in pics[2:7])
            assert (video == 'few') == (kind == 0)
            borrowed += video == 'many'
    assert borrowed == 90

def test_sample_in_a_loader(made):
    "Through every step to a batch, of a training set that is described by a dict"
    torch = pytest.importorskip('torch')
    keys = ['imgs', 'reg_targets', 'proposal_scale_factor', 'proposal_labels', 'proposal_type']
    steps = [dict(type='SampleProposalFrames', clip_len=1, body_segments=5, aug_segments=(2, 2), aug_ratio=.5), dict(type='RawFrameDecode'), dict(type='Resize', scale=(48, 32), keep_ratio=False),
             dict(type='FormatShape', input_format='NPTCHW'), dict(type='Collect', keys=keys, meta_keys=[]), dict(type='ToTensor', keys=keys)]
    ds = build_dataset(dict(type='SSNDataset', ann_file=made/'list.txt', pipeline=steps, train_cfg=small(made).train_cfg, test_cfg=SSN_TEST, data_prefix=made))
    batch = next(iter(torch.utils.data.DataLoader(ds, batch_size=2)))
    same({k: tuple(v.shape) for k,v in batch.items()}, dict(imgs=(2, 4, 9, 3, 32, 48), reg_targets=(2, 4, 2), proposal_scale_factor=(2, 4, 2), proposal_labels=(2, 4), proposal_type=(2, 4)))
    same(batch['proposal_type'].tolist(), [[0, 1, 1, 2]]*2)
    same(batch['proposal_labels'].tolist(), [[1, 1, 1, 0]]*2)

def test_shares_and_places(made):
    ds = small(made, ratios=(2, 3, 4))
    np.random.seed(0)
    drawn = [ds[0] for _ in range(300)]
    for got in drawn: same(got['proposal_type'], np.repeat([0, 1, 2], [2, 4, 3]))
    for kind in range(3): assert {p[0][1].start_frame for got in drawn for p in got['out_proposals'] if p[1] == kind} == {p.start_frame for v,p in ds.kinds[0][kind]}, KINDS[kind]
    once = [got['out_proposals'][:2] for got in drawn]
    assert all(a[0][1] is not b[0][1] for a,b in once), 'two of four are drawn without repeats'
    whole = [o[0][0] for got in (small(made, video_centric=False)[1] for _ in range(60)) for o in got['out_proposals'] if o[1] == 0]
    assert 20 < whole.count('many') < 60       # 4 of the 6 positive ones

def test_same_seed_same_sample(made):
    ds, said = small(made), []
    for _ in range(2):
        np.random.seed(7)
        said.append([(p[0][0], p[0][1].start_frame, p[1]) for p in ds[0]['out_proposals'] + ds[1]['out_proposals']])
    same(*said)
    same([p[2] for p in said[0]], [0, 1, 1, 2]*2)

def test_a_kind_that_is_nowhere(made):
    ds = small(made)
    ds.kinds[0][1], ds.kinds[1][1], ds.incomplete_pool = [], [], []
    with expect_error(ValueError, 'list.txt: no video has a proposal that is incomplete, and a sample needs 2'): ds[0]
    pos, = [ds._draw([], ds.positive_pool[:1], 1, 0)]
    same((len(pos), len(ds._draw([], ds.positive_pool[:1], 3, 0))), (1, 3))          # a pool that is too small lends one more than once

def test_no_constants_of_nothing(made):
    "No proposal is positive: annotated spans alone have no mean, and nothing is divided by nothing"
    ds = small(made)
    for v in ds.video_infos: v['proposals'] = [p for p in v['proposals'] if p.best_iou <= .7]
    same(ds._compute_reg_normalize_constants(), np.array([[0., 0.], [1., 1.]]))
    same(small(made, reg_normalize_constants=[[.5, 1], [2, 4]]).reg_norm_consts, np.array([[.5, 1], [2, 4]]))

def test_videos_without_truth(made):
    text = (made/'list.txt').read_text()
    (made/'three.txt').write_text(text + '# 2\nempty\n30\n1\n0\n0\n')
    same([len(small(made, fn='three.txt', test_mode=t, filter_gt=f)) for t,f in ((False, True), (False, False), (True, True), (True, False))], [2, 2, 2, 3])
    got = small(made, fn='three.txt', test_mode=True, filter_gt=False)[2]
    same((got['relative_proposal_list'], got['proposal_tick_list'].shape), (np.array([[0, 29/30]], np.float32), (1, 4)))
    nothing = dict(relative_proposal_list=np.empty((0, 2)), activity_scores=np.empty((0, 2)), completeness_scores=np.empty((0, 1)), bbox_preds=None)
    found = [dict(relative_proposal_list=spans_of(v['gts'])/v['total_frames'], activity_scores=np.ones((len(v['gts']), 2)), completeness_scores=np.ones((len(v['gts']), 1)), bbox_preds=None) for v in small(made).video_infos]
    same(small(made, fn='three.txt', test_mode=True, filter_gt=False).evaluate([*found, nothing])['mAP@0.90'], 1., eps=1e-9)
    same(small(made).evaluate([nothing, nothing])['mAP@0.10'], 0.)

@pytest.mark.parametrize('old,new,words', [
    ('1 20 50', '1 50 20', None), ('1 20 50', '1 20 20', None), ('1 20 50', '1 200 220', None),
    ('1 20 50', '1 20 500', None), ('1 20 50', 'jump 20 50', "many: 'jump 20 50' is not label, start, end"), ('1 20 50', '1 nan 50', "'1 nan 50' is not label"),
    ('1 20 50', '-1 20 50', 'the label of'), ('1 20 50', '1 20', 'list.txt:6'), ('few', 'many', "'many' is there twice"), ('\n120\n', '\n0\n', 'many has 0 frames'), ('\n120\n', '\nx\n', 'list.txt:3')])
def test_files_that_are_wrong(made, old, new, words):
    "Reversed, empty and late spans are left out, and one that ends late is cut; what cannot be understood is named"
    text = (made/'list.txt').read_text()
    assert old in text
    (made/'list.txt').write_text(text.replace(old, new, 1))
    if words: return expect(lambda: read_proposals(made/'list.txt'), words)
    gts = spans_of(read_proposals(made/'list.txt')[0]['gts']).tolist()
    same(gts, [[20, 120], [80, 110]] if new.endswith('500') else [[80, 110]])

def expect(f, words):
    with expect_error(ValueError, words): f()

@pytest.mark.parametrize('cut', [.3, .6, .95])
def test_file_that_is_cut_short(made, cut):
    text = (made/'list.txt').read_text()
    (made/'list.txt').write_text(text[:int(cut*len(text))])
    expect(lambda: read_proposals(made/'list.txt'), 'list.txt')

def test_results_that_are_wrong(made):
    ds = small(made, test_mode=True)
    def one(n=3, k=1, **kwargs): return {**dict(relative_proposal_list=np.tile([[.1, .5]], (n, 1)), activity_scores=np.zeros((n, k+1)), completeness_scores=np.zeros((n, k)), bbox_preds=np.zeros((n, k, 2))), **kwargs}
    nan = np.zeros((3, 2)); nan[1,1] = np.nan
    expect(lambda: ds.evaluate([one(), one(activity_scores=nan)]), 'few: activity_scores of proposal 1 are not all numbers')
    expect(lambda: ds.evaluate([one()]), '2 videos need a list of as many results; got list of 1')
    expect(lambda: ds.evaluate([one(), one(k=2)]), 'results are of [1, 2] classes')
    expect(lambda: ds.evaluate([one(), one(completeness_scores=np.zeros((2, 1)))]), 'few: 3 proposals')
    expect(lambda: ds.evaluate([one(), one(completeness_scores=None)]), 'few')
    for v in ds.video_infos: v['gts'][0].label = 3
    expect(lambda: ds.evaluate([one(), one()]), 'an annotated span has label 3, and results are of 1 classes')

def test_fractions(made, caplog):
    "A normalised file is made into one of frames, once; videos without frames are named"
    blocks = ['# 0', 'many', '1', '1', '1', '1 0.1667 0.4167', '1', '1 0.87654321 0.9 0.19 0.43', '# 1', 'gone', '1', '1', '1', '1 0 1', '0']
    (made/'normalized_set.txt').write_text('\n'.join(blocks))
    with caplog.at_level('WARNING', 'vidnb'): ds = small(made, fn='normalized_set.txt')
    assert 'set.txt: 1 videos have no frames' in caplog.text and 'gone' in caplog.text
    same((made/'set.txt').read_text().split('\n')[:9], ['# 0', 'many', '120', '1', '1', '1 20 50', '1', '1 0.8765 0.9000 22 51', ''])
    before = (made/'set.txt').stat().st_mtime_ns
    same(numbers(small(made, fn='normalized_set.txt').video_infos[0]['proposals'][0]), numbers(ds.video_infos[0]['proposals'][0]))
    assert (made/'set.txt').stat().st_mtime_ns == before
    with expect_error(ValueError, 'no fraction of the video'): denormalize_proposals(made/'set.txt', made/'x.txt', LENGTHS)
    assert not (made/'x.txt').exists()

def test_verbose(made, capfd):
    log = logging.getLogger('vidnb')
    had, level, passes = list(log.handlers), log.level, log.propagate
    try: small(made, verbose=True)
    finally: log.handlers[:], log.level, log.propagate = had, level, passes
    assert '3 annotated spans, 6 proposals; pools of 6 positive, 1 incomplete, 2 background' in capfd.readouterr().err

def test_instance_of_the_seed():
    p = SSNInstance(100, 1200, 1000)
    same((p.end_frame, p.coverage, p.label, p.best_iou, p.overlap_self, p.regression_targets), (1000, 1.1, -1, 0, 0, [0., 0.]))
    q = SSNInstance(100, 200, 1000, label=4)
    q.compute_regression_targets([SSNInstance(90, 230, 1000), SSNInstance(500, 600, 1000)], .7)
    same([q.loc_reg, q.size_reg], [.1, np.log(1.4)], eps=1e-12)
