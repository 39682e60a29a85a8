"Every golden case of frame sampling and of the transforms that exist, by name, through the steps themselves"
from types import SimpleNamespace
import numpy as np
import pytest
from vidnb.core.testing import MissingData, golden, shared_root, test_same as same
from vidnb.transforms.compose import lookup
from vidnb.transforms.geometry import Fuse, RandomResizedCrop

GROUPS = dict(C_samplers={'SampleFrames': 300, 'DenseSampleFrames': 42, 'UntrimmedSampleFrames': 30, 'SampleProposalFrames': 8}, D_transforms={
    'Resize': 30, 'Flip': 10, 'CenterCrop': 8, 'RandomResizedCrop.get_crop_bbox': 4, 'chain': 16, 'Normalize': 12, 'FormatShape': 12,
    'MultiScaleCrop': 12, 'ThreeCrop': 8, 'TenCrop': 8, 'Transpose': 4, 'GenerateLocalizationLabels': 2, 'LoadProposals': 2, 'LoadLocalizationFeature': 1})
#: golden groups whose transforms are not built yet; a group that is in neither list fails `test_no_group_is_forgotten`
NOT_BUILT = dict(C_samplers=set(), D_transforms=set())

def load(group):
    try: return golden(group)
    except MissingData: return {}

CASES = {g: load(g) for g in GROUPS}
def names(group, *kinds): return [n for n in CASES[group] if n.split('/')[0] in kinds] or ['missing']
def case(group, name): return CASES[group][name] if name != 'missing' else golden(group)

def close(got, want, c):
    "Equal, or as near as the case `c` allows"
    want = np.asarray(want)
    eps = c.get('atol', 1e-5 if want.dtype == np.float32 else 1e-8 if want.dtype.kind == 'f' else 0)
    rtol = c.get('rtol', 1e-5 if want.dtype == np.float32 else 1e-6) if want.dtype.kind == 'f' else 0
    same(np.asarray(got), want, eps + rtol*float(np.abs(want).max()))

@pytest.mark.parametrize('group', GROUPS)
def test_no_group_is_forgotten(group):
    if not CASES[group]: golden(group)
    count = {}
    for n in CASES[group]: count[n.split('/')[0]] = count.get(n.split('/')[0], 0) + 1
    assert {k: n for k,n in count.items() if k not in NOT_BUILT[group]} == GROUPS[group]
    assert NOT_BUILT[group] <= count.keys()

def proposals_of(spans):
    "Proposals as the dataset keeps them"
    return [(('v', SimpleNamespace(start_frame=a, end_frame=b)), 0) for a,b in spans]

@pytest.mark.parametrize('name', names('C_samplers', *GROUPS['C_samplers']))
def test_sampler(name):
    c = case('C_samplers', name)
    sample = {'filename': 'a.mp4', **{k: v for k,v in c['inputs'].items() if k != 'proposals_start_end'}}
    if 'proposals_start_end' in c['inputs']: sample['out_proposals'] = proposals_of(c['inputs']['proposals_start_end'])
    got = lookup(name.split('/')[0])(**c['params'])(sample)
    assert got['frame_inds'].ndim == 1 and got['frame_inds'].dtype == np.int64
    for k,v in c['expected'].items(): same(got[k], np.array(v) if k == 'frame_inds' else v)

def sample_of(inputs):
    s = dict(inputs)
    if 'clip_len' not in s: s.update(imgs=list(s['imgs']), num_clips=1, clip_len=len(s['imgs']), img_shape=s['imgs'].shape[1:3])
    return s

@pytest.mark.parametrize('name', names('D_transforms', 'Resize', 'Flip', 'CenterCrop', 'Normalize', 'FormatShape', 'ThreeCrop', 'TenCrop'))
def test_transform(name):
    c = case('D_transforms', name)
    before = c['inputs']['imgs'].copy()
    got = lookup(name.split('/')[0])(**c['params'])(sample_of(c['inputs']))
    for k,v in c['expected'].items():
        if isinstance(v, np.ndarray): assert np.asarray(got[k]).dtype == v.dtype, (k, got[k].dtype, v.dtype)
        if isinstance(v, np.ndarray) and k in ('imgs', 'scale_factor'): close(got[k], v, c if k == 'imgs' else {})
        else: same(got[k], v)
    same(c['inputs']['imgs'], before)

@pytest.mark.parametrize('name', names('D_transforms', 'chain'))
def test_chain(name):
    c = case('D_transforms', name)
    s, lazy, want = sample_of(c['inputs']), c['params']['lazy'], c['expected']
    for step,kw in c['params']['steps']: s = lookup(step)(**kw, lazy=lazy)(s)
    if lazy:
        same(s['lazy']['crop_bbox'], want['lazy_crop_bbox'], 1e-4)
        same((s['lazy']['flip'], s['lazy']['interpolation']), (want['lazy_flip'], want['lazy_interpolation']))
        s = Fuse()(s)
    close(s['imgs'], want['imgs'], c)
    same(tuple(s['img_shape']), want['img_shape'])
    same(s['crop_bbox'], want['crop_bbox'])

@pytest.mark.parametrize('name', names('D_transforms', 'RandomResizedCrop.get_crop_bbox'))
def test_random_resized_crop_falls_back(name):
    c = case('D_transforms', name)
    same(RandomResizedCrop.get_crop_bbox(c['inputs']['img_shape'], **c['params']), c['expected'])

@pytest.mark.parametrize('name', names('D_transforms', 'MultiScaleCrop'))
def test_multi_scale_crop(name):
    "A random step, so the reference says what it can draw: every box, or every size, and nothing else"
    c = case('D_transforms', name)
    step, sample, want = lookup('MultiScaleCrop')(**c['params'], seed=0), sample_of(c['inputs']), c['expected']
    drawn = [step(sample) for _ in range(600)]
    for r in drawn[:20]:
        x1, y1, x2, y2 = r['crop_bbox']
        same(r['imgs'], c['inputs']['imgs'][:, y1:y2, x1:x2])
        same((tuple(r['img_shape']), r['scales']), ((int(y2 - y1), int(x2 - x1)), tuple(c['params']['scales'])))
    if 'possible_crop_bboxes' in want: same(sorted({tuple(r['crop_bbox'].tolist()) for r in drawn}), sorted(map(tuple, want['possible_crop_bboxes'])))
    if 'img_shape' in want: same({tuple(r['img_shape']) for r in drawn} == {tuple(want['img_shape'])}, True)
    if 'possible_img_shapes' in want: same(sorted({tuple(r['img_shape']) for r in drawn}), sorted(map(tuple, want['possible_img_shapes'])))

def in_golden(kw):
    "Paths of a case are relative to the folder of the golden files"
    return {k: str(shared_root()/'golden'/v) if isinstance(v, str) and v.split('/')[0] == 'files' else v for k,v in kw.items()}

@pytest.mark.parametrize('name', names('D_transforms', 'Transpose', 'GenerateLocalizationLabels', 'LoadProposals', 'LoadLocalizationFeature'))
def test_arrays_and_files(name):
    c = case('D_transforms', name)
    got = lookup(name.split('/')[0])(**in_golden(c['params']))(in_golden(c['inputs']))
    for k,v in c['expected'].items():
        close(got[k], v, c)
        assert got[k].dtype == v.dtype, (k, got[k].dtype, v.dtype)
