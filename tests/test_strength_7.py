"Small faults that no other test noticed: masks, scores and files of the benchmarks of tracking, video detection and segmentation"
import numpy as np
import pandas as pd
import pytest
from vidnb.core.masks import as_rle
from vidnb.core.structures import TrackDataSample
from vidnb.core.testing import expect_error, test_same as same
from vidnb.metrics.detection_ap import off_distractors
from vidnb.metrics.video_ap import precision_at_recalls, vid_matches

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

def test_facts_are_the_samples_own():
    "A list that is changed after it was given changes no sample, and samples made of one another share none"
    shape = [4, 5]
    a = TrackDataSample(metainfo=dict(img_shape=shape))
    shape[0] = 9
    b = a.new()
    b.img_shape.append(1)
    same((a.img_shape, b.img_shape), ([4,5], [4,5,1]))

@pytest.mark.parametrize('w, h, shift, right', [(10, 10, 5, True), (10, 10, 7, False), (100, 10, 37, True), (10, 100, 3.7, True), (100, 100, 34, False)])
def test_small_boxes_may_be_wrong_by_some_pixels(w, h, shift, right):
    "ILSVRC: the overlap that is needed is that of a box larger by 10 pixels in both directions, half at most"
    truth = pd.DataFrame(dict(frame=[0], id=1, label=1, x1=0., y1=0., x2=w-1., y2=h-1.))
    pred = truth.drop(columns='id').assign(x1=float(shift), x2=w-1.+shift, score=.5)
    need = min(.5, w*h/((w+10)*(h+10)))
    same((w-shift)/(w+shift) >= need, right)
    same(bool(vid_matches(truth, pred)['right'][0,0]), right)
