"Small faults that no other test noticed: masks, scores and files of the benchmarks of tracking, video detection and segmentation"
import numpy as np
import pandas as pd
import pytest
from vidnb.core.masks import as_rle
from vidnb.core.structures import TrackDataSample
from vidnb.core.testing import expect_error, test_same as same
from vidnb.datasets.cocovid_files import read_cocovid
from vidnb.datasets.kitti_tracking import kitti2coco, write_kitti_tracking
from vidnb.datasets.tao import tao_tracks
from vidnb.metrics.detection_ap import off_distractors
from vidnb.metrics.video_ap import greedy_matches, precision_at_recalls, vid_matches
from vidnb.metrics.vos import boundary_radius

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

def test_an_overlap_of_one_but_for_rounding_is_one():
    "pycocotools' rule for the threshold 1"
    same(greedy_matches(([0], [0], [1-1e-12]), [0], [[False]], [1.])[0,0], np.array([0]))
    same(greedy_matches(([0], [0], [1-1e-9]), [0], [[False]], [1.])[0,0], np.array([-1]))

def test_a_tolerance_of_one_is_a_pixel():
    same([boundary_radius(480, 854, t) for t in (.008, .5, 1, 3.)], [8, 490, 1, 3])

def test_boxes_of_nobody_are_identities_of_their_own(tmp_path):
    "Regions DontCare have the id -1, several in a frame"
    df = pd.DataFrame(dict(frame=[0,0,0,1], id=[-1,4,-1,-1], type=['DontCare','Car','DontCare','DontCare'], x1=[0.,30,60,0], y1=0., x2=[10.,50,80,10], y2=20.))
    write_kitti_tracking(df, tmp_path/'label_02'/'0000.txt')
    path, = kitti2coco(tmp_path, tmp_path/'out', width=100, height=50)
    anns = read_cocovid(path)['annotations']
    same((len(anns), len({a['instance_id'] for a in anns}), sorted(a['kitti_id'] for a in anns)), (4, 4, [-1,-1,-1,4]))

def test_a_track_of_tao_has_the_class_of_its_first_box():
    "First in the file, not in time"
    box = dict(x=0., y=0., w=9., h=9., iscrowd=0)
    gt = pd.DataFrame([dict(box, video_id=1, image_id=k, frame_index=k, track=5, category_id=c) for k,c in ((0,1), (1,2))])
    tr = pd.DataFrame([dict(box, video_id=1, image_id=k, frame_index=k, track=7, category_id=c, score=.5) for k,c in ((2,2), (0,1), (1,1))])
    a, b = tao_tracks(dict(), gt, tr.replace(dict(category_id={2:1, 1:2})))
    same((a.category_id.tolist(), b.category_id.tolist(), b.frame_index.tolist()), ([1,1], [1,1,1], [0,1,2]))
