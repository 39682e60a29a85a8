"Functions on spans, proposals and their metrics against the numbers that the seed's own gave (golden groups A and B)."
from collections import Counter
import numpy as np
import pytest
from vidnb.core import spans
from vidnb.core.testing import golden, shared_root, test_same as same
from vidnb.localization import proposals
from vidnb.metrics import localization

A = {'pairwise_temporal_iou': (spans, 18), 'average_recall_at_avg_proposals': (localization, 6), 'average_precision_at_temporal_iou': (localization, 14),
     'interpolated_precision_recall': (localization, 2)}
B = {'temporal_iou': (spans, 12), 'temporal_iop': (spans, 8), 'soft_nms': (spans, 5), 'temporal_nms': (spans, 12), 'perform_regression': (proposals, 4), 'eval_ap': (localization, 4),
     'load_localize_proposal_file': (proposals, 2), 'generate_candidate_proposals': (proposals, 3), 'generate_bsp_feature': (proposals, 6)}
#: parts of group B that data sets answer
DATASETS = {'ActivityNetDataset.proposals2json', 'ActivityNetDataset.evaluate', 'SSNDataset.results_to_detections', 'SSNDataset.evaluate', 'SSNDataset.internals'}
FILES = 'filename', 'tem_results_dir', 'pgm_proposals_dir'

def kind(name): return name.split('/')[0].split('#')[0]

def cases(group, name): return {k:c for k,c in golden(group).items() if kind(k) == name}

def test_no_name_is_forgotten():
    test = lambda group, built: {k:n for k,n in Counter(map(kind, golden(group))).items() if k in built}
    assert test('A_evaluation', A) == {k:n for k,(_,n) in A.items()}
    assert test('B_localization', B) == {k:n for k,(_,n) in B.items()}
    assert {kind(k) for k in golden('B_localization')} == B.keys() | DATASETS

def near(got, want, case, where):
    "Equal up to the case's tolerance: relative 1e-6 and absolute 1e-8, of float32 results 1e-5"
    if isinstance(want, dict): assert got.keys() == want.keys(), where; return [near(got[k], want[k], case, f'{where} {k}') for k in want]
    if not isinstance(want, np.ndarray): return same(got, want, 1e-9 if isinstance(want, float) else 0, where)
    same(got.shape, want.shape, where=where); same(got.dtype.kind, want.dtype.kind, where=where)
    rtol = case.get('rtol', 1e-5 if want.dtype == np.float32 else 1e-6)
    np.testing.assert_allclose(got, want, rtol, case.get('atol', 1e-8 if want.dtype != np.float32 else 1e-6), err_msg=where)

def call(module, name, case):
    inputs = {k: str(shared_root()/'golden'/v) if k in FILES else v for k,v in case['inputs'].items()}
    return getattr(module, name)(**inputs, **case['params'])

@pytest.mark.parametrize('name', A)
def test_metrics(name):
    for k,c in cases('A_evaluation', name).items():
        got = call(A[name][0], name, c)
        if isinstance(c['expected'], dict): got = dict(zip(c['expected'], got, strict=True))
        if isinstance(c['expected'], tuple): [near(g, e, c, k) for g,e in zip(got, c['expected'], strict=True)]
        else: near(got, c['expected'], c, k)

@pytest.mark.parametrize('name', [n for n in B if n not in ('generate_candidate_proposals', 'load_localize_proposal_file')])
def test_localization(name):
    for k,c in cases('B_localization', name).items(): near(call(B[name][0], name, c), c['expected'], c, k)

def test_proposal_files():
    "Records are (id, frames, truth, proposals), of strings as in the file"
    for k,c in cases('B_localization', 'load_localize_proposal_file').items(): assert call(proposals, 'load_localize_proposal_file', c) == c['expected'], k

def test_candidates():
    "Rows of equal scores may come in another order"
    for k,c in cases('B_localization', 'generate_candidate_proposals').items():
        got = call(proposals, 'generate_candidate_proposals', c)
        assert got.keys() == c['expected'].keys()
        for v,want in c['expected'].items():
            assert (np.diff(got[v][:,4]) <= 0).all()
            near(got[v][np.lexsort(got[v].round(5).T[:2])], want[np.lexsort(want.round(5).T[:2])], c, k)

def test_mended():
    "Where the first version saw only the first true span of a video, the number is the later one's"
    other = 0
    for k,c in cases('A_evaluation', 'average_precision_at_temporal_iou').items():
        if 'expected_v060' not in c: continue
        got = call(localization, 'average_precision_at_temporal_iou', c)
        other += not np.allclose(c['expected_v060'], c['expected'])
        near(got, c['expected'], c, k)
    assert other >= 2, 'no case tells the versions apart'

def test_result_dict():
    "Results also go into a dictionary that is handed in, as several processes used to share one"
    c, shared = next(iter(cases('B_localization', 'generate_candidate_proposals').values())), {}
    got = proposals.generate_candidate_proposals(**{**c['inputs'], 'tem_results_dir': shared_root()/'golden'/c['inputs']['tem_results_dir']}, **c['params'], result_dict=shared)
    same(shared, got)

def test_videos_without_truth():
    "The seed stops at a video without annotations, and at one of which nothing is known"
    c = next(iter(cases('B_localization', 'generate_candidate_proposals').values()))
    info = dict(c['inputs']['video_infos'][0], annotations=[])
    got = proposals.generate_candidate_proposals([0], [info], shared_root()/'golden'/c['inputs']['tem_results_dir'], **c['params'])
    same(got[info['video_name']][:,5:], np.zeros((20,2)))
