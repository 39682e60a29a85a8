"Detection AP: pycocotools and faster-coco-eval on one set, and the rule of the MOT Challenge against TrackEval's preprocessing"
import contextlib, io
import numpy as np
import pandas as pd
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from vidnb.core.boxes import xywh2xyxy
from vidnb.core.testing import test_same as same
from vidnb.datasets.mot_detections import evaluate_mot_detections, mot_detection_tables
from vidnb.datasets.motchallenge import MOT_DISTRACTORS, on_distractors
from vidnb.metrics.detection_ap import COCO_NUMBERS, coco_box_ap, off_distractors
from vidnb.metrics.mot import mot_scene

def boxes_set(seed, n_images=25):
    "COCO json and a result: crowds, scores that tie, classes without truth, pictures without boxes, more than 100 boxes in one"
    rng = np.random.default_rng(seed)
    images = [dict(id=int(k), height=200, width=300) for k in rng.permutation(99)[:n_images]]
    anns, res = [], []
    for n,im in enumerate(images):
        for _ in range(rng.integers(0, 9)):
            w, h = rng.uniform(5, 150, 2)
            box, c = [rng.uniform(0, 300-w), rng.uniform(0, 200-h), w, h], int(rng.integers(1, 4))
            anns.append(dict(id=len(anns)+1, image_id=im['id'], category_id=c, bbox=box, area=float(w*h*rng.uniform(.5, 1)), iscrowd=int(rng.random() < .1)))
            for _ in range(rng.integers(0, 3) if n else 40):
                res.append(dict(image_id=im['id'], category_id=c if rng.random() < .9 else 4, bbox=(np.array(box) + rng.normal(0, 4, 4)).clip(1).tolist(), score=float(np.round(rng.random(), 1))))
    return dict(images=images, annotations=anns, categories=[dict(id=k, name='abcde'[k-1]) for k in range(1, 6)]), res

def official(data, res):
    "(twelve numbers, precision) of pycocotools, as its manual has it"
    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO()
        gt.dataset = data
        gt.createIndex()
        e = COCOeval(gt, gt.loadRes([dict(r) for r in res]), 'bbox')
        e.evaluate(); e.accumulate(); e.summarize()
    return e.stats, e.eval['precision']

@pytest.mark.parametrize('seed', range(3))
def test_pycocotools(seed):
    data, res = boxes_set(seed)
    got, (stats, precision) = coco_box_ap(data, res, fast=False), official(data, res)
    same(np.array([got.value[k] for k in COCO_NUMBERS]), stats, eps=1e-12)
    same(got.precision, precision, eps=1e-12)

def test_faster_coco_eval():
    pytest.importorskip('faster_coco_eval', reason='faster-coco-eval is not installed; pycocotools does the work')
    for seed in range(3):
        data, res = boxes_set(seed)
        same(coco_box_ap(data, res, fast=True).value, coco_box_ap(data, res, fast=False).value, eps=1e-9)

@pytest.mark.parametrize('seed', range(3))
def test_the_rule_is_that_of_tracking(seed):
    "Detections that the rule takes out are those that `on_distractors` takes out where boxes have identities"
    rng = np.random.default_rng(seed)
    frame, who = (o.ravel() for o in np.meshgrid(np.arange(1, 31), np.arange(24), indexing='ij'))
    at = rng.uniform(0, 250, (len(frame),2))
    gt = pd.DataFrame(dict(frame=frame, id=who, x=at[:,0], y=at[:,1], w=rng.uniform(30, 60, len(frame)), h=rng.uniform(30, 60, len(frame)), conf=1., cls=rng.choice([1,1,2,3,7,8,12], len(frame))))
    tr = gt.assign(x=gt.x + rng.normal(0, 5, len(gt)), y=gt.y + rng.normal(0, 5, len(gt)), conf=rng.random(len(gt)), cls=-1)
    corners, kinds = (lambda o: xywh2xyxy(o[['x', 'y', 'w', 'h']].to_numpy())), MOT_DISTRACTORS['MOT17']
    scene = mot_scene(gt.frame.to_numpy(), gt.id.to_numpy(), corners(gt), tr.frame.to_numpy(), tr.id.to_numpy(), corners(tr))
    want = ~on_distractors(scene, gt.cls.to_numpy(), kinds)
    p, q = rng.permutation(len(gt)), rng.permutation(len(tr))
    got = off_distractors(gt.frame.to_numpy()[p], corners(gt)[p], gt.cls.isin(kinds).to_numpy()[p], tr.frame.to_numpy()[q], corners(tr)[q])
    same(got, want[q])
    assert 100 < (~got).sum() < 600
    a, b = mot_detection_tables(gt, tr.assign(id=-1), 'MOT17')
    assert (len(a), len(b)) == ((gt.cls == 1).sum(), want.sum())

def test_a_crowded_frame_counts_whole(tmp_path):
    "150 people in one frame are all found"
    (tmp_path/'gt').mkdir()
    people = pd.DataFrame([dict(f=1, i=k+1, x=30*k, y=0, w=20, h=50, c=1, k=1, v=1) for k in range(150)])
    people.to_csv(tmp_path/'gt'/'gt.txt', header=False, index=False)
    people.to_csv(tmp_path/'res.txt', header=False, index=False)
    value = evaluate_mot_detections(tmp_path/'gt'/'gt.txt', tmp_path/'res.txt').value
    same((value['AP'], value['AR1000']), (1., 1.), eps=1e-9)
