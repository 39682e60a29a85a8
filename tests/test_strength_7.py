"Small faults that no other test noticed: masks, scores and files of the benchmarks of tracking, video detection and segmentation"
import numpy as np
import pandas as pd
import pytest
from vidnb.core.masks import as_rle
from vidnb.core.structures import TrackDataSample
from vidnb.core.testing import expect_error, test_same as same
from vidnb.datasets.cocovid_files import read_cocovid
from vidnb.datasets.davis import davis2coco, evaluate_vos, find_masks, write_masks
from vidnb.datasets.imagenetvid import parse_vid_xml, read_vid_list
from vidnb.datasets.kitti_tracking import kitti2coco, kitti_scenes, write_kitti_tracking
from vidnb.datasets.tao import tao_tracks
from vidnb.datasets.reid import _people
from vidnb.datasets.youtubevis import cocovid_to_vis, vis_boxes
from vidnb.metrics.detection_ap import off_distractors
from vidnb.metrics.video_ap import greedy_matches, precision_at_recalls, vid_matches
from vidnb.metrics.vis_ap import frames_to_tracks
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

def test_of_labels_that_are_as_frequent_a_track_gets_the_smallest():
    mask = as_rle(np.ones((3,4), bool))
    for labels in ([3,1], [1,3], [7,2,2,7]):
        n = len(labels)
        track, = frames_to_tracks(range(n), [5]*n, labels, [.5]*n, [mask]*n, n)
        same(track['category_id'], min(labels))

@pytest.mark.parametrize('truncated, counts', [(0., 1), (.5, 1), (1., 0), (2., 0)])
def test_kitti_cuts_truncation_to_a_whole_number(truncated, counts):
    box = dict(frame=[0], id=[1], type=['Car'], x1=[0.], y1=[0.], x2=[40.], y2=[40.])
    gt = pd.DataFrame(dict(box, truncated=[truncated], occluded=[0.]))
    same(len(kitti_scenes(gt, pd.DataFrame(dict(box)).iloc[:0], 1)['car'].gt_id), counts)

def test_pictures_of_a_video_are_put_into_the_order_of_time():
    seg = {k: (v.decode() if isinstance(v, bytes) else v) for k,v in as_rle(np.ones((3,4), bool)).items()}
    images = [dict(id=10+f, video_id=1, frame_id=f, file_name=f'{f}.jpg', height=3, width=4) for f in (2,0,1)]
    anns = [dict(id=1, image_id=11, video_id=1, instance_id=1, category_id=1, bbox=[0,0,4,3], segmentation=seg)]
    vis = cocovid_to_vis(dict(videos=[dict(id=1, name='v')], images=images, annotations=anns, categories=[dict(id=1, name='a')]))
    same(vis['videos'][0]['file_names'], ['0.jpg', '1.jpg', '2.jpg'])
    same([s is not None for s in vis['annotations'][0]['segmentations']], [False,True,False])

def test_void_pixels_are_no_object_of_davis(tmp_path):
    maps = np.zeros((2,6,8), np.uint8)
    maps[:,:3,:4], maps[:,4:] = 1, 255
    write_masks(maps, tmp_path/'Annotations'/'480p'/'v')
    path, = davis2coco(tmp_path, tmp_path/'out')
    same([a['area'] for a in read_cocovid(path)['annotations']], [12,12])

def test_the_frame_after_the_last_is_in_no_list(tmp_path):
    for n,ok in ((5,True), (6,False)):
        (tmp_path/'list.txt').write_text(f'train/a 1 {n} 5\n')
        if ok: same(read_vid_list(tmp_path/'list.txt'), {'train/a': (5, [4])})
        else:
            with expect_error(ValueError, 'frame 6 of a video of 5'): read_vid_list(tmp_path/'list.txt')

def test_a_box_that_a_file_gives_is_kept_where_the_area_is_missing():
    seg = as_rle(np.ones((3,4), bool))
    data = dict(videos=[dict(id=1, file_names=['a/0.jpg'], height=3, width=4)], categories=[dict(id=1, name='a')],
                annotations=[dict(id=1, video_id=1, category_id=1, segmentations=[seg], bboxes=[[1,1,2,2]])])
    same(vis_boxes(data)[['x', 'y', 'w', 'h', 'area']].to_numpy(float).tolist(), [[1.,1.,2.,2.,12.]])

def test_objects_without_a_number_get_their_own():
    one = '<object><name>n01</name><bndbox><xmax>3</xmax><xmin>1</xmin><ymax>3</ymax><ymin>1</ymin></bndbox></object>'
    *_, rows = parse_vid_xml(f'<annotation><size><width>9</width><height>9</height></size>{one*3}</annotation>'.encode(), 'a.xml')
    same([r[0] for r in rows], [0,1,2])

def test_more_than_the_threshold_of_a_person_is_visible():
    gt = pd.DataFrame(dict(frame=[1,2,3], id=1, cls=1, visibility=[.3,.31,-1.]))
    same(_people(gt, .3).frame.tolist(), [2,3])

def test_first_and_last_frame_may_be_missing_where_they_are_skipped(tmp_path):
    maps = np.zeros((4,6,8), np.uint8)
    maps[:,:3,:4] = 1
    write_masks(maps, tmp_path/'truth'/'v')
    write_masks(maps[1:3], tmp_path/'pred'/'v', names=['00001', '00002'])
    truth, pred = find_masks(tmp_path/'truth'), find_masks(tmp_path/'pred')
    same(evaluate_vos(truth, pred).value['J&F'], 1.)
    with expect_error(ValueError, 'the results have no frame 00000, 00003'): evaluate_vos(truth, pred, skip_ends=False)
