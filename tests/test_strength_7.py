"Small faults that no other test noticed: masks, scores and files of the benchmarks of tracking, video detection and segmentation"
import numpy as np
import pytest
from vidnb.core.masks import as_rle
from vidnb.core.testing import expect_error, test_same as same
from vidnb.metrics.detection_ap import off_distractors
from vidnb.metrics.video_ap import precision_at_recalls

def test_a_run_length_below_zero_is_no_mask():
    "Though the sum is that of the picture"
    with expect_error(ValueError, 'counts of the mask add up to 12'): as_rle(dict(size=[3,4], counts=[5, -2, 9]))
    same(as_rle(dict(size=[3,4], counts=[5, 0, 7]))['size'], [3,4])

def test_half_an_overlap_is_a_match_with_a_distractor():
    "The official rule: 0.5 and more, whatever rounding makes of it"
    gt, dt = np.array([[0,0,10,10.], [100,0,110,10]]), np.array([[0,0,10,5.], [100,0,110,4.9]])
    same(off_distractors([1,1], gt, [True,True], [1,1], dt), np.array([False,True]))

@pytest.mark.parametrize('n', [7, 49, 100, 300])
def test_a_recall_is_reached_as_pycocotools_divides(n):
    "Right ones over objects against k/100: rounding of a product would ask for one more, of 7 in 100 for 8"
    rng = np.random.default_rng(n)
    tp = rng.random((2,n)) < np.array([[.9],[.6]])
    got, most = precision_at_recalls(tp, ~tp, n)
    for row,want in zip(tp, got):
        right, found = np.cumsum(row), np.arange(1, n+1)
        best = np.maximum.accumulate((right/(found + np.spacing(1)))[::-1])[::-1]
        at = np.searchsorted(right/n, np.linspace(0, 1, 101), side='left')
        same(want, np.append(best, 0)[np.minimum(at, n)], eps=1e-12)
    same(most, tp.sum(1)/n)
