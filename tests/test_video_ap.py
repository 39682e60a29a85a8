"AP of boxes and masks in videos against pycocotools and TrackEval on generated scenes, by hand, and with files that are wrong"
import contextlib, gzip, io, json, zipfile
import numpy as np
import pandas as pd
import pytest
from pycocotools import mask as rle_tools
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from vidnb.core.testing import expect_error, shared_data, test_same as same
from vidnb.datasets.cocovid_files import read_cocovid, write_cocovid
from vidnb.datasets.imagenetvid import imagenet2coco_vid, read_imagenetvid, write_imagenetvid, write_vid_results, IMAGENET_VID_CLASSES
from vidnb.datasets.video_reports import vid_report, vis_report
from vidnb.datasets.youtubevis import cocovid_to_vis, ovis2coco, read_vis_results, read_youtubevis, vis_to_cocovid, write_vis_results, write_youtubevis, youtubevis2coco
from vidnb.metrics.video_ap import AP_THRESHOLDS, VIDMetrics, greedy_matches, motion_iou, vid_ap, vid_matches
from vidnb.metrics.vis_ap import VIS_AREAS, VISMetrics, vis_matches, vis_scores, vis_summary
from vidnb.metrics.ytvis import YTVIS, YTVISeval

# boxes

def film(seed, frames=30, objects=12, labels=3, coarse=None):
    "Truth and detections of a random video; with `coarse` all numbers are multiples of it, so that overlaps and scores tie"
    rng = np.random.default_rng(seed)
    f, who = (o.ravel() for o in np.meshgrid(np.arange(frames), np.arange(objects), indexing='ij'))
    at = rng.uniform(0, 300, (objects,2)) + np.arange(frames)[:,None,None]*rng.choice([0, .5, 8], (objects,1))
    box = np.concatenate([at, at + rng.uniform(20, 90, (objects,2))], 2).reshape(-1, 4)
    there = rng.random(len(f)) < .8
    moved = box + rng.normal(0, 6, box.shape)
    moved[:,2:] = np.maximum(moved[:,2:], moved[:,:2] + 2)
    found, label = rng.random(len(f)) < .8, np.where(rng.random(len(f)) < .1, rng.integers(1, labels+1, len(f)), who%labels + 1)
    if coarse: box, moved = (np.round(o/coarse)*coarse + np.repeat([[0,0,coarse,coarse]], len(o), 0) for o in (box, moved))
    score = rng.integers(0, 20, len(f))/20 if coarse else rng.random(len(f))
    table = lambda b, keep, **k: pd.DataFrame(b[keep], columns=['x1','y1','x2','y2']).assign(frame=f[keep], **{n: o[keep] for n,o in k.items()})
    return table(box, there, id=who, label=who%labels + 1), table(moved, found, label=label, score=score)

def coco_of(truth, pred):
    "pycocotools' evaluation of tables, a frame a picture"
    xywh = lambda r: [r.x1, r.y1, r.x2-r.x1, r.y2-r.y1]
    gt, dt = ([dict(id=k, image_id=int(r.frame)+1, category_id=int(r.label), bbox=xywh(r), area=xywh(r)[2]*xywh(r)[3], iscrowd=0, score=getattr(r, 'score', 0)) for k,r in enumerate(o.itertuples(), 1)] for o in (truth, pred))
    sides = []
    for rows in (gt, dt):
        sides.append(COCO())
        sides[-1].dataset = dict(images=[dict(id=int(f)+1) for f in np.union1d(truth.frame, pred.frame)], categories=[dict(id=int(c), name=str(c)) for c in np.union1d(truth.label, pred.label)], annotations=rows)
        sides[-1].createIndex()
    return COCOeval(*sides, 'bbox')

@pytest.mark.parametrize('seed', range(4))
def test_area_under_the_curve_is_cocos_at_every_true_box(seed):
    "The area under the falling curve is the mean of COCO's precision at the recalls 1/n, ..., n/n: pycocotools as judge of the AP of ImageNet VID"
    truth, pred = film(seed)
    metrics = VIDMetrics(tolerance=0, pixel=0)
    metrics.add('a', truth, pred)
    for c,ap in metrics.classes()['all'].items():
        n = int((truth.label == c).sum())
        with contextlib.redirect_stdout(io.StringIO()):
            e = coco_of(truth[truth.label == c], pred[pred.label == c])
            e.params.recThrs, e.params.iouThrs, e.params.maxDets = np.arange(1, n+1)/n - 1e-12, np.array([.5]), [1000]*3
            e.evaluate(); e.accumulate()
        same(float(ap), float(e.eval['precision'][0,:,0,0,-1].mean()), eps=1e-9)

@pytest.mark.parametrize('objects,labels,coarse', ((12, 3, 10), (60, 1, 20), (60, 2, 5)))
def test_matches_are_cocos_with_ties_and_areas(objects, labels, coarse):
    "All thresholds, four areas, thin and dense: which object each detection takes, and what is ignored, is what pycocotools says"
    truth, pred = film(1, frames=12, objects=objects, labels=labels, coarse=coarse)
    e = coco_of(truth, pred)
    with contextlib.redirect_stdout(io.StringIO()): e.evaluate()
    pred = pred.sort_values('score', ascending=False, kind='stable').reset_index(drop=True)
    boxes = lambda o: o[['x1','y1','x2','y2']].to_numpy()
    from vidnb.core.boxes import frame_ious
    key = lambda o: (o.frame*10 + o.label).to_numpy()
    i, j, iou = frame_ious(key(pred), boxes(pred), key(truth), boxes(truth))
    area = lambda o: (o.x2-o.x1)*(o.y2-o.y1)
    lo, hi = np.array(e.params.areaRng, float).T[:,:,None]
    out = lambda o: (area(o).to_numpy() < lo) | (area(o).to_numpy() > hi)
    hit = greedy_matches((i, j, iou), key(pred), out(truth), AP_THRESHOLDS)
    ignored = np.where(hit >= 0, np.take_along_axis(out(truth)[:,None].repeat(10, 1), np.maximum(hit, 0), 2), out(pred)[:,None])
    at = {(x['image_id'], x['category_id'], tuple(x['aRng'])): x for x in e.evalImgs if x}
    seen = 0
    for (f,c),rows in pred.groupby(['frame', 'label']):
        assert len(rows) <= 100
        for a,rng in enumerate(map(tuple, e.params.areaRng)):
            x = at[f+1, c, rng]
            same(hit[a][:,rows.index[:100]] + 1, x['dtMatches'].astype(int))       # pycocotools' number of an object is its row + 1
            same(ignored[a][:,rows.index], x['dtIgnore'].astype(bool))
            seen += hit[a][:,rows.index].size
    assert seen == 40*len(pred)

def test_speeds_by_hand():
    "One object of each speed, each found half of the time; a wrong box costs where its frame or its neighbour says so"
    f = np.arange(40)
    pace = [0, 1, 9]                     # boxes 40 pixels wide
    truth = pd.DataFrame([(t, k, 1, 100+p*t, 200*k, 139+p*t, 200*k+39) for k,p in enumerate(pace) for t in f], columns=['frame','id','label','x1','y1','x2','y2'])
    speed = motion_iou(truth.frame, truth.id, truth[['x1','y1','x2','y2']])
    d = np.arange(1, 11)
    same([speed[20], speed[60], speed[100]], [1., np.mean((40-d)/(40+d)), np.mean(np.maximum(40-9*d, 0)/(40+np.minimum(9*d, 40)))], eps=1e-12)
    pred = truth[truth.frame%2 == 0].assign(score=.9)
    m = VIDMetrics()
    m.add('a', truth, pred)
    same([m.value[k] for k in ('AP50', 'AP50_slow', 'AP50_medium', 'AP50_fast')], [.5]*4, eps=1e-12)
    stray = pd.DataFrame([(0, 1, 900, 900, 950, 950, 1.), (1, 1, 100, 25, 139, 64, 1.)], columns=['frame','label','x1','y1','x2','y2','score'])     # on nothing; beside the slow one
    s = vid_matches(truth, stray)
    same(s['wrong'], np.array([[1,1], [2/3,1], [2/3,0], [2/3,0]]), eps=1e-12)
    late = vid_matches(truth, stray.assign(frame=99))
    assert np.isnan(late['wrong']).all()
    m.add('b', truth, stray.assign(frame=99))
    same([m.value[k] for k in ('AP50_slow', 'AP50')], [20/(20+2/3)*.25, 60/62*.25], eps=1e-12)       # 20 right of 80 behind two that count a third each

@pytest.mark.parametrize('split', ([0,1,2,3,4], [3,1,4,0,2]))
def test_order_of_videos_does_not_matter(split):
    one, two = VIDMetrics(), VIDMetrics()
    for k in range(5): one.add(k, *film(k))
    for k in split: two.add(k, vid_matches(*film(k)))
    same(one.value, two.value, eps=1e-12)
    assert one.table().index[-1] == 'COMBINED' and len(one.table()) == 6

def test_rows_of_frames_may_stand_in_any_order():
    "With equal scores too: the official program sorts by picture first"
    truth, pred = film(3)
    pred = pd.DataFrame(pred).assign(score=lambda o: (o.score*4).round()/4)
    parts = [pred[pred.frame == t] for t in np.random.default_rng(0).permutation(pred.frame.unique())]
    same(vid_ap(vid_matches(truth, pd.concat(parts))).to_numpy(), vid_ap(vid_matches(truth, pred.sort_values('frame', kind='stable'))).to_numpy())
    assert len(pred.score.unique()) < len(pred)/2

# masks

def ellipse(rng, h, w, frames):
    "A mask that walks, one a frame, now and then none"
    at, size, step = rng.uniform((.2*h, .2*w), (.8*h, .8*w)), rng.uniform(.06, .45, 2)*(h,w), rng.normal(0, 1.5, 2)
    y, x = np.mgrid[:h,:w]
    return np.stack([(((y-at[0]-t*step[0])/size[0])**2 + ((x-at[1]-t*step[1])/size[1])**2 < 1)*(rng.random() > .1) for t in range(frames)])

def encode(masks, text=False):
    out = [rle_tools.encode(np.asfortranarray(m, np.uint8)) if m.any() else None for m in masks]
    return [s and dict(s, counts=s['counts'].decode()) for s in out] if text else out

def numbers(mask):
    c = np.flatnonzero(np.diff(mask.ravel('F').astype(int), prepend=0))
    return dict(size=list(mask.shape), counts=np.diff(np.r_[0, c, mask.size]).tolist())

def vis_set(seed, videos=5, frames=6, h=420, w=560, labels=3, crowd=0., many=3):
    "(truth, results) in the forms of the files: areas reach over all three ranges"
    rng, anns, found = np.random.default_rng(seed), [], []
    for v in range(1, videos+1):
        for k in range(rng.integers(1, 6)):
            m, label = ellipse(rng, h, w, frames), int(rng.integers(1, labels+1))
            area = [int(o.sum()) or None for o in m]
            anns.append(dict(id=len(anns)+1, video_id=v, category_id=label, iscrowd=int(rng.random() < crowd), height=h, width=w, length=frames, segmentations=[numbers(o) if o.any() else None for o in m], areas=area, bboxes=[[0,0,1,1] if a else None for a in area]))
            for _ in range(rng.integers(0, many)):
                d = np.roll(m, tuple(rng.integers(-12, 13, 2)), (1,2)) & (rng.random(frames) > .1)[:,None,None]
                found.append(dict(video_id=v, category_id=label if rng.random() < .8 else int(rng.integers(1, labels+1)), score=round(float(rng.random()), 2), segmentations=encode(d, True)))
        found.append(dict(video_id=v, category_id=int(rng.integers(1, labels+1)), score=float(rng.random()), segmentations=encode(ellipse(rng, h, w, frames), True)))
    truth = dict(videos=[dict(id=v, file_names=[f'v{v}/{t:05d}.jpg' for t in range(frames)], height=h, width=w, length=frames) for v in range(1, videos+1)],
                 categories=[dict(id=c, name=f'class{c}') for c in range(1, labels+1)], annotations=anns)
    return truth, found

def trackeval_ap(path, truth, found):
    "TrackEval's TrackMAP on files: {class: {field: (10,)}} and the mean over classes"
    trackeval = pytest.importorskip('trackeval', reason='TrackEval is not installed: pip install --no-deps trackeval==1.3.0 tabulate')
    for fn,o in (('gt/youtube_vis_train/truth.json', truth), ('tr/youtube_vis_train/mine/data/results.json', found)):
        (path/fn).parent.mkdir(parents=True)
        (path/fn).write_text(json.dumps(o))
    quiet = dict(PRINT_RESULTS=False, PRINT_CONFIG=False, TIME_PROGRESS=False, OUTPUT_SUMMARY=False, OUTPUT_DETAILED=False, PLOT_CURVES=False, OUTPUT_EMPTY_CLASSES=False, DISPLAY_LESS_PROGRESS=True, BREAK_ON_ERROR=True)
    with contextlib.redirect_stdout(io.StringIO()):
        data = trackeval.datasets.YouTubeVIS(dict(GT_FOLDER=f'{path}/gt/', TRACKERS_FOLDER=f'{path}/tr/', SPLIT_TO_EVAL='train', PRINT_CONFIG=False))
        data.global_tid_counter = 1          # a track with id 0 is never seen as a match
        metric = trackeval.metrics.TrackMAP(dict(USE_TIME_RANGES=False, AREA_RANGES=[list(o) for o in list(VIS_AREAS.values())[1:]], IOU_THRESHOLDS=AP_THRESHOLDS, MAX_DETECTIONS=100, PRINT_CONFIG=False))
        out = trackeval.Evaluator(quiet).evaluate([data], [metric])[0]['YouTubeVIS']['mine']['COMBINED_SEQ']
    return {c: o['TrackMAP'] for c,o in out.items()}

@pytest.mark.parametrize('seed', range(3))
def test_every_number_is_trackevals(seed, tmp_path):
    truth, found = vis_set(seed)
    want = trackeval_ap(tmp_path, truth, found)
    report = vis_report(tmp_path/'gt/youtube_vis_train/truth.json', tmp_path/'tr/youtube_vis_train/mine/data/results.json')
    metrics = VISMetrics()
    for v in truth['videos']: metrics.add(v['id'], [a for a in truth['annotations'] if a['video_id'] == v['id']], [r for r in found if r['video_id'] == v['id']])
    s = metrics.scores()
    for k,c in enumerate(s['labels']):
        for a,name in enumerate(('all', 'area_s', 'area_m', 'area_l')):
            same(s['precision'][:,:,k,a,-1].mean(1), np.asarray(want[f'class{c}'][f'AP_{name}'], float), eps=1e-12)
            same(s['recall'][:,k,a,-1], np.asarray(want[f'class{c}'][f'AR_{name}'], float), eps=1e-12)
    mean = want['cls_comb_cls_av']
    same(float(report.table.AP.iloc[0]), float(np.mean(mean['AP_all'])), eps=1e-12)
    same(float(report.table.APl.fillna(-1).iloc[0]), float(np.mean(mean['AP_area_l'])), eps=1e-12)
    same(metrics.value['AP75'], float(mean['AP_all'][5]), eps=1e-12)
    assert .05 < metrics.value['AP'] < .95 and (s['objects'].sum(0) > 0).all()

def ytvis_loop(truth, found, thresholds=AP_THRESHOLDS):
    "The evaluation of YouTube-VIS as loops: pairs merged frame by frame, matching with crowds, areas and limits; AP and AR as in COCO's table"
    rle = lambda s: None if not s else s if isinstance(s['counts'], (str, bytes)) else rle_tools.frPyObjects(s, *s['size'])
    def iou(d, g):
        i = u = 0
        for a,b in zip(map(rle, d['segmentations']), map(rle, g['segmentations'])):
            if a and b: i, u = i + int(rle_tools.area(rle_tools.merge([a,b], True))), u + int(rle_tools.area(rle_tools.merge([a,b])))
            elif a or b: u += int(rle_tools.area(a or b))
        return i/u if u else 0.
    mean = lambda a: float(np.mean(a)) if len(a) else 0.
    cells, pairs = {}, {}
    for k,d in enumerate(found):
        for g in truth['annotations']:
            if (d['video_id'], d['category_id']) == (g['video_id'], g['category_id']): pairs[k,g['id']] = iou(d, g)
    d_area = [mean([rle_tools.area(s) for s in d['segmentations'] if s]) for d in found]
    for c in [o['id'] for o in truth['categories']]:
        for a,(lo,hi) in enumerate(VIS_AREAS.values()):
            for most in (1, 10, 100):
                n, lists = 0, [[] for _ in thresholds]
                for v in truth['videos']:
                    gs = [g for g in truth['annotations'] if (g['video_id'], g['category_id']) == (v['id'], c)]
                    ig = {g['id']: bool(g['iscrowd']) or not lo <= mean([o for o in g['areas'] if o]) <= hi for g in gs}
                    gs = sorted(gs, key=lambda g: ig[g['id']])
                    n += sum(not o for o in ig.values())
                    ds = sorted([k for k,d in enumerate(found) if (d['video_id'], d['category_id']) == (v['id'], c)], key=lambda k: -found[k]['score'])[:most]
                    for t,rows in zip(thresholds, lists):
                        taken = set()
                        for k in ds:
                            best, m = min(t, 1-1e-10), None
                            for g in gs:
                                if g['id'] in taken and not g['iscrowd']: continue
                                if m is not None and not ig[m] and ig[g['id']]: break
                                if pairs[k,g['id']] >= best: best, m = pairs[k,g['id']], g['id']
                            if m is not None: taken.add(m)
                            if not (ig[m] if m is not None else not lo <= d_area[k] <= hi): rows.append((found[k]['score'], m is not None))
                if not n: continue
                for t,rows in enumerate(lists):
                    hits = np.array([h for _,h in sorted(rows, key=lambda r: -r[0])], float)
                    tp = hits.cumsum()
                    p = tp/np.arange(1, len(tp)+1)
                    at = [max(p[tp/n >= r - 1e-12], default=0.) for r in np.linspace(0, 1, 101)]
                    cells[t,c,a,most] = np.mean(at), tp[-1]/n if len(tp) else 0.
    pick = lambda k, a, most, ts=range(len(thresholds)): mean([cells[key][k] for key in cells if key[0] in ts and key[2:] == (a, most)]) if any(key[2:] == (a, most) for key in cells) else -1.
    return [pick(0,0,100), pick(0,0,100,[0]), pick(0,0,100,[5]), *(pick(0,a,100) for a in (1,2,3)), *(pick(1,0,m) for m in (1,10,100)), *(pick(1,a,100) for a in (1,2,3))]

@pytest.mark.parametrize('seed', (10, 13))   # in 13 a crowd that could be taken once would change the AP
def test_ytviseval_is_the_loop_also_with_crowds(seed):
    truth, found = vis_set(seed, videos=4, crowd=.4, many=7)
    gt = YTVIS(truth)
    e = YTVISeval(gt, gt.loadRes(found))
    with contextlib.redirect_stdout(io.StringIO()) as said: e.evaluate(); e.accumulate(); e.summarize()
    same(e.stats, np.array(ytvis_loop(truth, found)), eps=1e-9)
    assert len(said.getvalue().splitlines()) == 12 and len(e.stats) == 12

def test_many_masks_and_big_frames():
    "More than 255 masks in one go, and a video whose strip has more pixels than 32 bits count"
    m = np.zeros((40,50), bool); m[5:20,5:30] = True
    truth = [dict(category_id=1, segmentations=encode([m]*300))]
    s = vis_matches(truth, [dict(truth[0], score=.5)])
    assert s['right'].shape == (4,10,1) and s['right'][0].all()
    h, w, n = 4000, 6000, 200
    big = dict(size=[h,w], counts=[0, h*w])
    half = dict(size=[h,w], counts=[0, h*w//2, h*w - h*w//2])
    from vidnb.metrics.vis_ap import video_mask_ious
    iou, area, _ = video_mask_ious([dict(segmentations=[half]*n)], [dict(segmentations=[big]*n)])
    same((float(iou[0,0]), int(area.sum())), (.5, h*w//2*n))

# files

def test_round_trips(tmp_path):
    truth, found = vis_set(3, videos=2)
    for fn in ('t.json', 't.json.gz'): same(read_youtubevis(write_youtubevis(truth, tmp_path/fn)), truth)
    for fn in ('r.json', 'r.zip'): same(read_vis_results(write_vis_results(found, tmp_path/fn), truth), [{k: r[k] for k in ('video_id', 'score', 'category_id', 'segmentations')} for r in found])
    back = cocovid_to_vis(vis_to_cocovid(truth))
    same([[o[k] for k in ('video_id', 'category_id', 'segmentations', 'areas', 'height', 'length')] for o in back['annotations']], [[o[k] for k in ('video_id', 'category_id', 'segmentations', 'areas', 'height', 'length')] for o in truth['annotations']])
    (tmp_path/'2021/train').mkdir(parents=True)
    write_youtubevis(truth, tmp_path/'2021/train/instances.json')
    files = youtubevis2coco(tmp_path/'2021', tmp_path/'out', '2021')
    same([f.name for f in files], ['youtube_vis_2021_train.json'])
    same(vis_report(files[0], tmp_path/'r.zip').table.to_numpy(float), vis_report(tmp_path/'t.json', tmp_path/'r.json').table.to_numpy(float))

def test_coco_and_folder_are_the_same_truth(tmp_path):
    rng, wnids = np.random.default_rng(0), list(IMAGENET_VID_CLASSES)
    frames = pd.DataFrame([(f'val/v{v}', f'val/v{v}/{t:06d}.JPEG', 640, 480, False) for v in range(2) for t in range(12)], columns=['video','file_name','width','height','is_vid_train_frame'])
    boxes = pd.DataFrame([(i, k, wnids[k], int(50*k + 3*k*(i%12)), 40*k, 60, 50, False, False) for i in range(24) for k in range(4)], columns=['image','instance','wnid','x','y','w','h','occluded','generated'])
    write_imagenetvid(frames, boxes, tmp_path)
    imagenet2coco_vid(tmp_path, tmp_path)
    found = boxes.assign(image_id=boxes.image+1, category_id=boxes.instance+1, score=rng.random(len(boxes)))[['image_id','category_id','score','x','y','w','h']].sample(frac=.7, random_state=0)
    pred = write_vid_results(found, tmp_path/'d.txt')
    raw = pred.read_bytes()
    (tmp_path/'w.txt').write_bytes(b'\xef\xbb\xbf' + raw.replace(b'\n', b'\r\n'))
    (tmp_path/'z.gz').write_bytes(gzip.compress(raw))
    write_vid_results(found, tmp_path/'j.json')
    want = vid_report(tmp_path, pred).table.to_numpy(float)
    for fn in ('w.txt', 'z.gz', 'j.json'): same(vid_report(tmp_path/'imagenet_vid_val.json', tmp_path/fn).table.to_numpy(float), want)
    assert not np.isnan(want[0,0]) and want[0,0] < 1

@pytest.fixture(scope='module')
def vis_files(tmp_path_factory):
    path, (truth, found) = tmp_path_factory.mktemp('vis'), vis_set(5, videos=2)
    write_youtubevis(truth, path/'truth.json')
    return path, truth, found

FAULTS = [(lambda r: dict(r, video_id=77), 'entry 0 is of video 77, which the truth does not have'), (lambda r: {k: v for k,v in r.items() if k != 'score'}, 'entry 0 has no score'), (lambda r: dict(r, score=float('nan')), 'entry 0: score is nan'),
          (lambda r: dict(r, segmentations=r['segmentations'][1:]), 'entry 0 has 5 segmentations; video 1 has 6 frames'), (lambda r: dict(r, segmentations='no'), "entry 0: segmentations is 'no'"), (lambda r: [1], 'entry 0 is '),
          (lambda r: dict(r, segmentations=[dict(size=[3,3], counts='09')] + [None]*5), 'video v1: masks of the tracks are (3, 3), of the objects (420, 560)'), (lambda r: dict(r, segmentations=[{'a': 1}] + [None]*5), 'video v1: track 0, frame 0: no mask')]

@pytest.mark.parametrize('fault', range(len(FAULTS)))
def test_a_wrong_result_names_its_entry(fault, vis_files):
    path, truth, found = vis_files
    change, why = FAULTS[fault]
    (path/'bad.json').write_text(json.dumps([change(found[0])]))
    with expect_error(ValueError, why): vis_report(path/'truth.json', path/'bad.json')
    with expect_error(ValueError, 'bad.json'): vis_report(path/'truth.json', path/'bad.json')

def test_files_that_are_no_results(vis_files):
    path, truth, found = vis_files
    for raw,why in ((b'{"a": 1}', 'without track_bboxes, track_masks'), (b'[', 'is no json file'), (b'\xff\xfe', 'is no text file'), (b'\x1f\x8bxx', 'is a damaged gzip file')):
        (path/'bad.json').write_bytes(raw)
        with expect_error(ValueError, why): vis_report(path/'truth.json', path/'bad.json')
    with expect_error(FileNotFoundError, 'gone.json is not there'): vis_report(path/'truth.json', path/'gone.json')
    with expect_error(FileNotFoundError, 'gone.json is not there'): vis_report(path/'gone.json', path/'bad.json')
    twice = dict(truth, annotations=truth['annotations'] + truth['annotations'][:1])
    (path/'twice.json').write_text(json.dumps(twice))
    with expect_error(ValueError, 'twice.json: annotations: id 1 stands twice'): vis_report(path/'twice.json', path/'bad.json')
    (path/'empty.json').write_text('[]')
    same(vis_report(path/'truth.json', path/'empty.json').table[['AP', 'AR100', 'tracks']].iloc[0].tolist(), [0., 0., 0.])
    with zipfile.ZipFile(path/'two.zip', 'w') as z: [z.writestr(f'{k}.json', '[]') for k in 'ab']
    with expect_error(ValueError, 'two.zip has 2 json files'): vis_report(path/'truth.json', path/'two.zip')

def test_files_that_are_no_boxes(tmp_path):
    truth = write_cocovid(dict(videos=[dict(id=1, name='v')], images=[dict(id=k, video_id=1, frame_id=k-1, width=100, height=100, file_name=f'{k}.jpg') for k in (1,2)], categories=[dict(id=1, name='car')],
                               annotations=[dict(id=k, image_id=k, video_id=1, category_id=1, instance_id=0, bbox=[10,10,30,30], area=900, iscrowd=False) for k in (1,2)]), tmp_path/'t.json')
    good = [dict(image_id=k, category_id=1, bbox=[10,10,30,30], score=.5) for k in (1,2)]
    (tmp_path/'p.json').write_text(json.dumps(good))
    same(vid_report(truth, tmp_path/'p.json').table[['AP', 'VID all', 'VID slow']].iloc[0].tolist(), [1.]*3, eps=1e-9)
    for change,why in ((dict(image_id=9), 'p.json has boxes in picture 9'), (dict(score=float('nan')), 'p.json: entry 1'), (dict(bbox=[1,2,3]), 'entry 1 has the bbox'), (dict(bbox=[1,2,-3,4]), 'entry 1: a box of width -3'), (dict(image_id=1.5), 'entry 1: image_id is 1.5; expected is a whole number')):
        (tmp_path/'p.json').write_text(json.dumps([good[0], dict(good[1], **change)]))
        with expect_error(ValueError, why): vid_report(truth, tmp_path/'p.json')
    (tmp_path/'p.json').write_text(json.dumps([good[0], {k: v for k,v in good[1].items() if k != 'score'}]))
    with expect_error(ValueError, 'entry 1 has image_id, category_id, bbox; a box has'): vid_report(truth, tmp_path/'p.json')
    data = read_cocovid(truth)
    twice = write_cocovid(dict(data, images=data['images'] + data['images'][:1]), tmp_path/'twice.json')
    (tmp_path/'p.json').write_text(json.dumps(good))
    with expect_error(ValueError, 'the truth has picture 1 twice'): vid_report(twice, tmp_path/'p.json')
    with expect_error(FileNotFoundError, 'gone.json is not there'): vid_report(truth, tmp_path/'gone.json')

def test_real_files(tmp_path):
    truth = read_cocovid(shared_data('annotations', 'youtube_vis_mmtracking.json'))
    report = vis_report(shared_data('annotations', 'youtube_vis_mmtracking.json'), shared_data('annotations', 'youtube_vis_mmtracking_results.json'))
    same((float(report.table.AP.iloc[0]), list(report.tables['categories'].index), int(report.table.tracks.iloc[0])), (1., ['sedan'], 1), eps=1e-12)
    official = cocovid_to_vis(truth)
    same(read_youtubevis(write_youtubevis(official, tmp_path/'t.json')), official)
    again = vis_to_cocovid(official)
    same({k: again['annotations'][0][k] for k in ('category_id', 'segmentation', 'area')}, {k: truth['annotations'][0][k] for k in ('category_id', 'segmentation', 'area')})
    boxes = read_cocovid(shared_data('annotations', 'cocovid_mmtracking.json'))
    (tmp_path/'own.json').write_text(json.dumps([dict(image_id=a['image_id'], category_id=a['category_id'], bbox=a['bbox'], score=.9) for a in boxes['annotations']]))
    report = vid_report(shared_data('annotations', 'cocovid_mmtracking.json'), tmp_path/'own.json')
    same([float(report.table[k].iloc[0]) for k in ('AP', 'AP50', 'VID all')], [1.]*2 + [report.table['VID all'].iloc[0]], eps=1e-12)
    with zipfile.ZipFile(tmp_path/'o.zip', 'w') as z: z.write(tmp_path/'own.json', 'own.json')
    same(vid_report(shared_data('annotations', 'cocovid_mmtracking.json'), tmp_path/'o.zip').table.to_numpy(float), report.table.to_numpy(float))

def test_ovis(tmp_path):
    truth, _ = vis_set(6, videos=1)
    write_youtubevis(dict(truth, annotations=[dict(a, occlusion=['no_occlusion']*6) for a in truth['annotations']]), tmp_path/'annotations_train.json')
    (tmp_path/'annotations_valid.json').write_text(json.dumps(dict(truth, annotations=None)))
    same([(f.name, len(read_cocovid(f)['annotations']) > 0) for f in ovis2coco(tmp_path, tmp_path)], [('ovis_train.json', True), ('ovis_valid.json', False)])
