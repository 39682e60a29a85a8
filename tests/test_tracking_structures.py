"""Containers, forms of boxes, maps of scores, CocoVID and datasets of videos: against the numbers of the reference, in real worker processes, and with files that are wrong"""
import copy
import gc
import inspect
import json
import pickle
import sys
from pathlib import Path
import numpy as np
import pandas as pd
import pytest
import torch
from vidnb.core.structures import InstanceData, ReIDDataSample, TrackDataSample, convert_data_sample_type
from vidnb.core.testing import MissingData, card_number, expect_error, golden, shared_data, shared_root, test_same as same, write_film
from vidnb.datasets.cocovid import CocoVID, group_rows
from vidnb.datasets.cocovid_files import cocovid, write_cocovid
from vidnb.datasets.reference_frames import reference_frames
from vidnb.datasets.tracking_sets import DanceTrackDataset, ImagenetVIDDataset, MOTChallengeDataset, TaoDataset, YouTubeVISDataset
from vidnb.datasets.video_dataset import BaseVideoDataset
from vidnb.transforms.compose import lookup, register_all_modules

# ---- golden numbers

MINE = {'bbox', 'CocoVID', 'gauss_blur', 'max_last2d', 'TrackDataSample', 'ReIDDataSample', 'InstanceData', 'convert_data_sample_type', 'BaseVideoDataset', 'register_all_modules'}
BOX_FORMS = {'quad2bbox_cxcywh_4': 'quad2bbox_cxcywh'}

def kind(name): return name.split('/')[0].split('#')[0].split('.')[0]

def cases():
    try: return {n:c for n,c in golden('F_tracking').items() if kind(n) in MINE}
    except MissingData: return {}
CASES = cases()

def close(got, want, c): np.testing.assert_allclose(np.asarray(got), np.asarray(want), rtol=c.get('rtol', 1e-5), atol=c.get('atol', 1e-6))

def check_box_form(name, c):
    f = name.split('/')[1].split('#')[0]
    f = lookup(BOX_FORMS.get(f, f))
    given, = c['inputs'].values()
    for make,back in ((torch.as_tensor, torch.Tensor), (np.asarray, np.ndarray)):
        got = f(make(given), **c['params'])
        assert isinstance(got, back) and got.shape == c['expected'].shape and str(got.dtype).endswith('float32')
        close(got, c['expected'], c)

def check_blur(name, c):
    got = lookup('gauss_blur')(torch.as_tensor(c['inputs']['image']), **c['params'])
    assert tuple(got.shape) == c['expected'].shape
    close(got, c['expected'], c)

def check_max(name, c):
    value, at = lookup('max_last2d')(torch.as_tensor(c['inputs']['input']))
    assert tuple(value.shape) == c['expected']['max_val'].shape
    close(value, c['expected']['max_val'], c)
    same(at, torch.as_tensor(c['expected']['argmax']))

def whole(d): return {int(k):v for k,v in d.items()}

def check_cocovid(name, c):
    coco, want = CocoVID(shared_root()/'golden'/c['inputs']['annotation_file'], **c['params']), c['expected']
    if 'videos' in want: same({k: coco.dataset[k] for k in ('videos','images','annotations')}, {k: want[k] for k in ('videos','images','annotations')})
    seen = {'videos', 'images', 'annotations'}
    asked = dict(get_vid_ids=lambda: coco.get_vid_ids(), get_vid_ids_1=lambda: coco.get_vid_ids([2]), get_vid_ids_int=lambda: coco.get_vid_ids(1), load_vids=lambda: coco.load_vids([1,2]), load_vids_int=lambda: coco.load_vids(2),
                 cat_ids=lambda: coco.get_cat_ids(cat_names=['person']), ann_ids_img1=lambda: coco.get_ann_ids(img_ids=[1]))
    each = dict(img_ids_from_vid=coco.get_img_ids_from_vid, ins_ids_from_vid=coco.get_ins_ids_from_vid, img_ids_from_ins=coco.get_img_ids_from_ins_id)
    for k,v in want.items():
        if k in asked: same(asked[k](), v)
        elif k in each: same({i: each[k](i) for i in whole(v)}, whole(v))
        else: assert k in seen, f'{name} has {k}, which this test does not know'

CHECKS = dict(bbox=check_box_form, CocoVID=check_cocovid, gauss_blur=check_blur, max_last2d=check_max)

def test_every_case_has_a_check():
    if not CASES: golden('F_tracking')
    assert {kind(n) for n in CASES} == set(CHECKS), 'cases of a kind that no test here handles'
    assert len(CASES) >= 28

@pytest.mark.parametrize('name', CASES or ['missing'])
def test_case(name):
    c = CASES[name] if CASES else golden('F_tracking')[name]
    CHECKS[kind(name)](name, c)

def test_numbers_of_the_reference():
    same(lookup('quad2bbox_cxcywh')(torch.tensor([10.,20,50,10,60,40,20,50])), torch.tensor([35,30,40.3708,32.2966]), eps=1e-4)

NAMES = ('CocoVID', 'TrackDataSample', 'ReIDDataSample', 'convert_data_sample_type', 'gauss_blur', 'max_last2d', 'register_all_modules')

@pytest.mark.parametrize('name', NAMES)
def test_parameters_of_the_seed(name):
    f = shared_root()/'seeds'/'api.json'
    if not f.exists(): raise MissingData('the list of the seeds\' names is missing: seeds/api.json')
    seed, = [n for n in json.loads(f.read_text())['names'] if n['name'] == name]
    def check(fn, params, skip=0):
        have = list(inspect.signature(fn).parameters.values())[skip:]
        assert [str(p).split(':')[0].split('=')[0] for p in have] == [p['name'] for p in params]
        for p,w in zip(have, params):
            if w['default'] is not None: assert repr(p.default) == w['default'], (name, p)
    check(lookup(name), seed['params'])
    for m in seed.get('methods', []): check(getattr(lookup(name), m['name']), m['params'], skip=1)

# ---- containers

def some(n=5, seed=0):
    g = torch.Generator().manual_seed(seed)
    return InstanceData(bboxes=torch.rand(n, 4, generator=g), ids=np.arange(n), names=[f'n{i}' for i in range(n)], pairs=tuple((i, -i) for i in range(n)))

@pytest.mark.parametrize('seed', range(5))
def test_any_index_cuts_all_fields_alike(seed):
    rng, d = np.random.default_rng(seed), some(7, seed)
    mask, rows = rng.random(7) < .5, rng.integers(-7, 7, rng.integers(0, 12))
    for key,want in ((mask, np.flatnonzero(mask)), (rows, rows % 7), (slice(1, 6, 2), np.arange(7)[1:6:2]), (slice(6, None, -2), np.arange(7)[::-2]), (int(rng.integers(-7, 7)), None)):
        want = np.array([key % 7]) if want is None else want
        for k in (key, torch.as_tensor(key), key.tolist()) if isinstance(key, np.ndarray) else (key,):
            got = d[k]
            assert len(got) == len(want) and got.ids.tolist() == want.tolist()
            assert torch.equal(got.bboxes, d.bboxes[want.tolist()]) and got.names == [f'n{i}' for i in want] and got.pairs == tuple((i, -i) for i in want.tolist())

def test_cut_and_join_is_the_identity():
    d = some(9)
    back = InstanceData.cat([d[a:b] for a,b in ((0,0), (0,4), (4,5), (5,9))])
    same((back.bboxes, back.ids, back.names, back.pairs), (d.bboxes, d.ids, d.names, d.pairs))

def test_gradients_and_dtypes_pass():
    x = torch.ones(3, 4, requires_grad=True)
    InstanceData(x=x)[[0,2]].x.sum().backward()
    same(x.grad.sum(1), torch.tensor([4.,0,4]))
    assert InstanceData(x=torch.ones(2)).to(torch.float64).x.dtype == torch.float64
    assert some().numpy().bboxes.dtype == np.float32

@pytest.mark.gpu
def test_on_the_gpu():
    d = some().cuda()
    assert d.bboxes.is_cuda and d[d.bboxes[:,0] > .5].bboxes.is_cuda and d[torch.tensor([0,1], device='cuda')].names == ['n0','n1'] and 'cuda' in repr(d)
    same(d.cpu().bboxes, some().bboxes)

def test_samples_survive_processes():
    s = TrackDataSample(metainfo=dict(img_shape=(4,5)), gt_instances=some())
    for other in (pickle.loads(pickle.dumps(s)), copy.deepcopy(s), s.clone()):
        assert other.img_shape == (4,5) and other.gt_instances.names == s.gt_instances.names
        other.gt_instances.bboxes += 1
    same(s.gt_instances.bboxes, some().bboxes)

def test_no_key_called_new_key():
    s = TrackDataSample(metainfo=dict(frame_id=1, ref_frame_id=[2,3], ref_scale=[.5,.25]))
    s.ref_gt_instances = InstanceData(ids=np.arange(5), map_instances_to_img_idx=torch.tensor([0,1,1,0,1]))
    assert [r.gt_instances.ids.tolist() for r in convert_data_sample_type(s, 2)[0]] == [[0,3], [1,2,4]]
    for sample,fact in zip(*convert_data_sample_type(s, 2)): assert 'new_key' not in sample and sample.metainfo == fact and set(fact) == {'frame_id', 'scale'}

def test_labels():
    s = ReIDDataSample(metainfo=dict(num_classes=4))
    assert s.set_gt_label(np.array([1,3])) is s
    with expect_error(ValueError, 'they are 0 to 3'): s.set_gt_label([4])
    with expect_error(ValueError, 'a label is a whole number'): s.set_gt_label(True)
    same(s.set_gt_score(torch.zeros(4)).gt_label.label, torch.tensor([1,3]))

def test_nothing_to_register(): assert register_all_modules(False) is None

# ---- CocoVID

@pytest.fixture
def scene():
    "Two videos of 9 and 5 frames; identity 0 in all frames, identity 1 in every second"
    frames = pd.DataFrame([dict(video=v, file_name=f'{v}/{i}.jpg', width=100, height=60) for v,n in (('a',9), ('b',5)) for i in range(n)])
    rows = [dict(image=k, instance=o, category_id=1+o, x=3+4*(k%9)+30*o, y=5, w=20, h=30, visibility=.1+.1*(k%9)) for k in range(14) for o in range(2) if o == 0 or k % 2]
    return cocovid(frames, pd.DataFrame(rows), {1:'pedestrian', 2:'car'})

def test_quiet_and_same_as_pycocotools(scene, tmp_path, capsys):
    from pycocotools.coco import COCO
    path = write_cocovid(scene, tmp_path/'a.json')
    ours = CocoVID(path)
    assert capsys.readouterr() == ('', '')
    theirs = COCO(str(path))
    for k in ('anns', 'imgs', 'cats', 'imgToAnns', 'catToImgs'): assert dict(getattr(ours, k)) == dict(getattr(theirs, k)), k
    for kw in (dict(), dict(catIds=[2]), dict(imgIds=[1,4], catIds=[1]), dict(areaRng=[0,1])): assert ours.getAnnIds(**kw) == theirs.getAnnIds(**kw)

def test_a_detector_is_scored_on_it(scene):
    from pycocotools.cocoeval import COCOeval
    truth = CocoVID(scene)
    found = truth.loadRes([dict(image_id=a['image_id'], category_id=a['category_id'], bbox=a['bbox'], score=.9) for a in scene['annotations']])
    e = COCOeval(truth, found, 'bbox')
    e.evaluate(); e.accumulate(); e.summarize()
    assert e.stats[0] == pytest.approx(1)

def test_identity_zero_is_kept(scene):
    coco = CocoVID(scene)
    assert coco.get_ins_ids_from_vid(1) == [0,1] and len(coco.get_img_ids_from_ins_id(0)) == 9
    del next(a for a in scene['annotations'] if a['instance_id'] == 1)['instance_id']
    assert CocoVID(scene).get_ins_ids_from_vid(1) == [0,1] and len(CocoVID(scene).get_img_ids_from_ins_id(0)) == 9
    scene['annotations'].reverse()      # identity 0 is now second in its picture
    ds = BaseVideoDataset(ann_file=scene, ref_img_sampler=None)
    assert [ds.get_data_info(k)['instances'].instance_id.tolist() for k in (0,3)] == [[0], [1,0]]

@pytest.mark.parametrize('shift,step', [(0,1), (1,1), (0,3), (100,7)])
def test_gaps_and_other_starts_are_in_order(scene, shift, step):
    want = {v: CocoVID(scene).get_img_ids_from_vid(v) for v in (1,2)}
    for im in scene['images']: im['frame_id'] = shift + step*im['frame_id']
    scene['images'] = [scene['images'][i] for i in np.random.default_rng(0).permutation(14)]
    assert {v: CocoVID(scene).get_img_ids_from_vid(v) for v in (1,2)} == want

def test_ids_of_any_kind():
    data = dict(videos=[dict(id='x', name='x'), dict(id=0, name='y')], images=[dict(id='p', video_id='x', frame_id=0), dict(id=7, video_id=0, frame_id=0)], categories=[dict(id=0, name='c')],
                annotations=[dict(id=0, image_id='p', category_id=0, instance_id=0), dict(id='a', image_id=7, category_id=0, instance_id='who')])
    coco = CocoVID(data)
    assert (coco.get_img_ids_from_vid('x'), coco.get_img_ids_from_vid(0), coco.get_ins_ids_from_vid(0), coco.get_img_ids_from_ins_id(0)) == (['p'], [7], ['who'], ['p'])

def test_no_annotations():
    coco = CocoVID(dict(videos=[dict(id=1, name='v')], images=[dict(id=1, video_id=1, frame_id=0)], categories=[]))
    assert (coco.get_ins_ids_from_vid(1), coco.get_img_ids_from_vid(1), coco.getAnnIds(imgIds=[1])) == ([], [1], [])

@pytest.mark.parametrize('text,words', [('', 'is no json file'), ('[1]', 'holds a list'), ('{"videos": []}', 'has no images'), ('{"images": [{"file_name": "a"}]}', "no 'id'"), ('{"images": [3]}', 'images: entry 0 is 3'),
                                        ('{"images": [{"id": 1}, {"id": 1}]}', 'two images have the id 1')])
def test_wrong_files_are_named(tmp_path, text, words):
    (tmp_path/'wrong.json').write_text(text)
    with expect_error(ValueError, words): CocoVID(tmp_path/'wrong.json')
    with expect_error(ValueError, 'wrong.json'): CocoVID(tmp_path/'wrong.json')

def test_group_rows_of_many():
    rng = np.random.default_rng(1)
    for keys in (rng.integers(0, 70000, 90000).tolist(), list('hello world')*50, [1, 'a', None, 2.5, 'a']*3, [2**62, -5, 2**62]):
        want = {}
        for i,k in enumerate(keys): want.setdefault(k, []).append(i)
        got = group_rows(keys, list(range(len(keys))))
        assert got == want and list(got) == list(want)

# ---- frames of references

@pytest.mark.parametrize('f,length,reach,n', [(0,30,9,2), (29,30,9,4), (12,30,[-3,0],2), (5,8,[0,2],2), (1,3,9,6)])
def test_bilateral_draws_from_both_sides(f, length, reach, n):
    lo, hi = (-reach, reach) if isinstance(reach, int) else reach
    left, right = max(0, f+lo), min(length-1, f+hi)
    for seed in range(30):
        got = reference_frames(f, length, reach, num_ref_imgs=n, method='bilateral_uniform', seed=seed)
        assert (got < f).sum() == min(n//2, f-left) and (got > f).sum() == min(n//2, right-f) and f not in got and len(set(got.tolist())) == len(got)
        assert len(got) == 0 or (left <= got.min() and got.max() <= right)

@pytest.mark.parametrize('length', [1, 2, 5, 14, 31, 100])
def test_rules_of_testing_in_a_loop(length):
    for lo,hi,stride in ((-2,2,1), (-15,15,10), (0,3,2), (-4,0,3), (-7,7,1)):
        n = hi - lo
        for f in range(length):
            adaptive = [round(i*((length-1)/(n-1))) for i in range(n)] if f == 0 else []
            fixed = [0]*(1-lo) + [min(round(i*stride), length-1) for i in range(1, hi+1)] if f == 0 else [min(round(f+hi*stride), length-1)]*(f % stride == 0)
            assert reference_frames(f, length, [lo,hi], stride, method='test_with_adaptive_stride').tolist() == sorted(adaptive)
            assert reference_frames(f, length, [lo,hi], stride, method='test_with_fix_stride').tolist() == sorted(fixed)

# ---- datasets

def naive_infos(data, test_mode, interval=1, min_size=32, empty_ok=False, classes=None):
    "Samples of a file, by the rules in words"
    cats = [c['id'] for c in data['categories'] if classes is None or c['name'] in classes]
    out = []
    for v in data['videos']:
        ims = sorted((im for im in data['images'] if im['video_id'] == v['id']), key=lambda im: im['frame_id'])
        for im in ims:
            boxes = []
            for i,a in enumerate(a for a in data['annotations'] if a['image_id'] == im['id']):
                x,y,w,h = a['bbox']
                if a.get('ignore') or max(0, min(x+w, im['width'])-max(x, 0))*max(0, min(y+h, im['height'])-max(y, 0)) == 0 or a['area'] <= 0 or w < 1 or h < 1 or a['category_id'] not in cats: continue
                boxes.append([x, y, x+w, y+h, cats.index(a['category_id']), a.get('instance_id', i), int(bool(a.get('iscrowd')))])
            if im['frame_id'] % interval == 0 and (test_mode or ((boxes or empty_ok) and min(im['width'], im['height']) >= min_size)): out.append((im['id'], len(ims), np.array(boxes, float).reshape(-1, 7)))
    return out

def as_naive(ds):
    for i in range(len(ds)):
        info = ds.get_data_info(i)
        ins = info['instances']
        yield info['img_id'], info['video_length'], np.column_stack([ins.bbox, ins.bbox_label, ins.instance_id, ins.ignore_flag]).astype(float).reshape(-1, 7)

def same_samples(ds, want):
    got = list(as_naive(ds))
    assert [g[:2] for g in got] == [w[:2] for w in want]
    for g,w in zip(got, want): np.testing.assert_allclose(g[2], w[2], rtol=1e-6)

@pytest.mark.parametrize('kw,how', [(dict(), dict(test_mode=False)), (dict(test_mode=True), dict(test_mode=True)), (dict(key_img_sampler=dict(interval=3)), dict(test_mode=False, interval=3)), (dict(filter_cfg=dict(filter_empty_gt=False)), dict(test_mode=False, empty_ok=True)),
                                    (dict(filter_cfg=dict(min_size=300)), dict(test_mode=False, min_size=300)), (dict(metainfo=dict(classes=('person',))), dict(test_mode=False, classes=('person',)))])
def test_samples_of_a_real_file(kw, how):
    path = shared_data('annotations', 'cocovid_mmtracking.json')
    same_samples(BaseVideoDataset(ann_file=path, ref_img_sampler=None, **kw), naive_infos(json.loads(path.read_text()), **how))

def test_damaged_scene_by_the_rules(scene):
    rng = np.random.default_rng(3)
    for a in scene['annotations']:
        r = rng.random()
        if r < .2: a['bbox'][0] = 400
        elif r < .25: a['bbox'][2] = .5
        elif r < .3: a['bbox'][2] = 1
        elif r < .4: a['ignore'] = True
        elif r < .5: a['area'] = 0
        elif r < .7: a['iscrowd'] = 1
        elif r < .8: a['bbox'][0] = -10
    want = naive_infos(copy.deepcopy(scene), False)
    ds = BaseVideoDataset(ann_file=scene, ref_img_sampler=None)
    same_samples(ds, want)
    assert sum(ds.dropped.values()) + len(ds.boxes) == len(scene['annotations']) and 'left out' in repr(ds)

def packed(**kw):
    "A dataset over a real film: references, pictures, boxes, packing"
    chain = [dict(type='LoadTrackFrames'), dict(type='LoadTrackAnnotations', with_instance_id=True), dict(type='PackTrackInputs')]
    return MOTChallengeDataset(ref_img_sampler=dict(frame_range=2, num_ref_imgs=2, method='bilateral_uniform'), pipeline=chain, **kw)

@pytest.mark.parametrize('context', ['fork', 'spawn'] if sys.platform == 'linux' else ['spawn'])
def test_two_workers_give_the_same_samples(scene, tmp_path, context):
    for v,n in (('a',9), ('b',5)): write_film(tmp_path/f'{v}.mp4', n, size=(60,100))
    for im in scene['images']: im['file_name'] = im['file_name'][0] + '.mp4'
    ds = packed(ann_file=write_cocovid(scene, tmp_path/'ann.json'), data_root=str(tmp_path))
    loaded = list(torch.utils.data.DataLoader(ds, batch_size=None, num_workers=2, multiprocessing_context=context))
    assert len(loaded) == len(ds) == 14
    for i,got in enumerate(loaded):
        s = got['data_samples']
        refs = s.ref_frame_id if isinstance(s.ref_frame_id, list) else [s.ref_frame_id]
        assert isinstance(s, TrackDataSample) and all(0 < abs(r - s.frame_id) <= 2 for r in refs)
        assert [card_number(p.permute(1,2,0).numpy()) for p in (*got['inputs']['img'], *got['inputs']['ref_img'])] == [s.frame_id, *refs]
        same(s.gt_instances.bboxes, torch.as_tensor(ds.get_data_info(i)['instances'].bbox))
        assert s.gt_instances.instances_id.tolist() == ds.get_data_info(i)['instances'].instance_id.tolist()
        assert set(s.ref_gt_instances.map_instances_to_img_idx.tolist()) == set(range(len(refs)))

def own_memory(): return sum(int(l.split()[1]) for l in Path('/proc/self/smaps_rollup').read_text().splitlines() if l.startswith('Private'))/1024

class Reads(torch.utils.data.Dataset):
    def __init__(self, n, look): self.n, self.look = n, look
    def __len__(self): return 2
    def __getitem__(self, i):
        gc.disable()   # a collection writes into every object there is, also into those of other tests
        before = own_memory()
        for k in range(self.n): self.look(k)
        return own_memory() - before

@pytest.mark.skipif(not Path('/proc/self/smaps_rollup').exists(), reason='the account of shared memory is Linux\'s')
def test_workers_copy_no_annotations():
    frames = pd.DataFrame(dict(video='v', file_name=[f'{i}.jpg' for i in range(1500)], width=100, height=100))
    image, who = (o.ravel() for o in np.meshgrid(np.arange(1500), np.arange(60), indexing='ij'))
    data = cocovid(frames, pd.DataFrame(dict(image=image, instance=who, category_id=1, x=who % 50, y=who % 40, w=20, h=20)), {1:'person'})
    ds, lists = BaseVideoDataset(ann_file=data, ref_img_sampler=None), [[] for _ in range(1500)]
    for a in data['annotations']: lists[a['image_id']-1].append(dict(bbox=list(a['bbox'])))
    grown = lambda look: max(torch.utils.data.DataLoader(Reads(1500, look), batch_size=None, num_workers=2, multiprocessing_context='fork'))
    columns, objects = grown(ds.frame_info), grown(lambda k: [a['bbox'] for a in lists[k]])
    assert columns < 5 < objects, f'{columns:.1f} MB of columns, {objects:.1f} MB of objects'

def test_no_objects_are_kept(scene):
    "What a dataset holds is arrays, and a few names"
    ds = BaseVideoDataset(ann_file=scene)
    size = len(pickle.dumps(ds))
    assert size < 30_000 and 'annotations' not in str(ds.__dict__)

def test_samples_start_from_their_own_arrays(scene):
    ds = BaseVideoDataset(ann_file=scene)
    ds.get_data_info(0)['instances'].bbox[:] = -1
    assert (ds.get_data_info(0)['instances'].bbox >= 0).all()

def test_whole_videos_by_samplers(scene):
    from vidnb.loading.video_samplers import EntireVideoBatchSampler, VideoSampler
    ds = BaseVideoDataset(ann_file=scene, test_mode=True, ref_img_sampler=None)
    order = VideoSampler(ds)
    assert list(order) == list(range(14))
    batches = list(EntireVideoBatchSampler(order, batch_size=1))
    assert batches == [list(range(9)), list(range(9, 14))] and [{ds[i]['video_id'] for i in b} for b in batches] == [{1}, {2}]

def test_visibility_only_in_training(scene):
    count = lambda **kw: sum(len(MOTChallengeDataset(ann_file=copy.deepcopy(scene), visibility_thr=.55, **kw).boxes[k]) for k in ('frame',))
    n = len(scene['annotations'])
    assert count(test_mode=True) == n and count() == sum(a['visibility'] >= .55 for a in scene['annotations'] if a['category_id'] in (1,2)) < n

def test_versions_of_youtube_vis_do_not_mix(scene):
    scene['categories'] = [dict(id=1, name='person'), dict(id=2, name='sedan')]
    a = YouTubeVISDataset('2019', ann_file=copy.deepcopy(scene))
    b = YouTubeVISDataset('2021', ann_file=copy.deepcopy(scene))
    assert (a.classes, b.classes, YouTubeVISDataset('2019', ann_file=copy.deepcopy(scene)).classes) == (('person','sedan'), ('person',), ('person','sedan'))

@pytest.mark.parametrize('cls,kw', [(ImagenetVIDDataset, dict(test_mode=True, metainfo=dict(classes=['car']))), (DanceTrackDataset, {}), (TaoDataset, {}), (YouTubeVISDataset, dict(dataset_version='2021', metainfo=dict(classes=['car'])))])
def test_every_benchmark_gives_samples(scene, cls, kw):
    ds = cls(ann_file=scene, ref_img_sampler=dict(frame_range=1, num_ref_imgs=1), **kw)
    assert len(ds) > 0 and ds[0]['frame_id'][0] % 1 == 0 and len(ds[0]['instances']) == 2
    assert isinstance(ds.get_cat_ids(0), list)
