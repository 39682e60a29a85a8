"Masks: scores of MOTS and KITTI MOTS against TrackEval, and what broken files do"
import csv
import numpy as np
import pandas as pd
import pytest
from vidnb.core.masks import split_labels
from vidnb.core.testing import expect_error, test_same as same
from vidnb.datasets.mots import MOTS_FILE_COLUMNS, evaluate_mots, mots2coco, mots_report, read_mots, write_mots, write_mots_png
from vidnb.metrics.mot import combine_mot

COUNTS = 'Dets', 'GT_Dets', 'IDs', 'GT_IDs', 'Frames'   # of lines, no scores

def painted(things, frames, first, size, noise=None, drop=0., new=0., regions=(), seed=0):
    "A table of MOTS: what is painted later hides what was there; `new` is how often an identity changes"
    rng, (h,w) = np.random.default_rng(seed), size
    yy, xx = np.mgrid[:h,:w]
    rows, shift = [], np.zeros(len(things), int)
    for f in range(frames):
        labels = np.zeros(size, np.uint16)
        for x0,y0,x1,y1 in regions: labels[y0:y1,x0:x1] = 10000
        for k,(cls,x,y,dx,dy,rx,ry) in enumerate(things):
            a = np.array([x+dx*f, y+dy*f, rx, ry]) + (rng.normal(0, noise, 4) if noise else 0)
            shift[k] += rng.random() < new
            if rng.random() < drop: continue
            labels[((xx-a[0])/max(a[2], 2))**2 + ((yy-a[1])/max(a[3], 2))**2 < 1] = 1000*cls + k + 40*shift[k]%900
        rows += [(f+first, int(i), int(i)//1000, h, w, r['counts'].decode()) for i,r in zip(*split_labels(labels))]
    return pd.DataFrame(rows, columns=list(MOTS_FILE_COLUMNS))

def pair(seed, first, classes=(1,2), frames=14, size=(64,120), regions=2):
    "Truth and result with regions that are ignored, in which the tracker also finds things"
    rng = np.random.default_rng(seed)
    things = [(int(rng.choice(classes)), *rng.uniform([5,5,-3,-1,4,4], [115,59,3,1,12,14])) for _ in range(9)]
    extra = [(int(rng.choice(classes)), *rng.uniform([0,0,-.5,-.5,4,4], [30,20,.5,.5,9,9])) for _ in range(3)]
    boxes = [(0,0,34,22), (90,40,118,60)][:regions]
    gt = painted(things, frames, first, size, drop=.1, regions=boxes, seed=seed)
    tr = painted([*things, *extra], frames, first, size, noise=1.2, drop=.15, new=.06, seed=seed+99)
    return gt, tr

def official(kind, tmp_path, data):
    "What TrackEval says of the folders"
    trackeval = pytest.importorskip('trackeval', reason='TrackEval is not installed: pip install --no-deps trackeval==1.3.0 tabulate')
    quiet = dict(PRINT_CONFIG=False)
    config = trackeval.Evaluator.get_default_eval_config() | dict(PRINT_RESULTS=False, PRINT_CONFIG=False, TIME_PROGRESS=False, OUTPUT_SUMMARY=False, OUTPUT_DETAILED=False, OUTPUT_EMPTY_CLASSES=False, PLOT_CURVES=False, DISPLAY_LESS_PROGRESS=True)
    metrics = [trackeval.metrics.HOTA(), trackeval.metrics.CLEAR(quiet), trackeval.metrics.Identity(quiet)]
    return trackeval.Evaluator(config).evaluate([getattr(trackeval.datasets, kind)(dict(quiet, TRACKERS_FOLDER=str(tmp_path/'trackers'), **data))], metrics)[0][kind]['mine']

def compare(got, want):
    "Every field that TrackEval has"
    want = {k: v for m in want.values() for k,v in m.items() if k not in COUNTS}
    assert len(want) >= 40 and set(want) <= set(got), sorted(set(want) - set(got))
    for k in sorted(want): same(np.asarray(got[k], float), np.asarray(want[k], float), eps=1e-9, where=k)

def check(got, want, classes):
    for c in classes:
        for name,scores in got[c].videos.items(): compare(scores, want[name][c])
        compare(combine_mot(got[c].videos.values()), want['COMBINED_SEQ'][c])
    assert any(s['CLR_FP'] and s['CLR_FN'] and s['IDSW'] for c in classes for s in got[c].videos.values())

@pytest.mark.parametrize('seed', [0, 10])
def test_mots_challenge(seed, tmp_path):
    for k in range(3):
        gt, tr = pair(seed+k, 1, regions=k)
        write_mots(gt, tmp_path/'gt'/f'S-{k}'/'gt'/'gt.txt')
        (tmp_path/'gt'/f'S-{k}'/'seqinfo.ini').write_text('[Sequence]\nseqLength=16\n')
        write_mots(tr if k or seed else tr.iloc[:0], tmp_path/'trackers'/'mine'/'data'/f'S-{k}.txt')
    want = official('MOTSChallenge', tmp_path, dict(GT_FOLDER=str(tmp_path/'gt'), SKIP_SPLIT_FOL=True, SEQ_INFO={f'S-{k}': 16 for k in range(3)}))
    check(evaluate_mots(tmp_path/'gt', tmp_path/'trackers'/'mine', tell=lambda line: None), want, ['pedestrian'])

@pytest.mark.parametrize('seed', [0, 10])
def test_kitti_mots(seed, tmp_path):
    lines = []
    for k in range(3):
        gt, tr = pair(seed+k, 0)
        write_mots(gt, tmp_path/'gt'/'label_02'/f'{k:04d}.txt')
        write_mots(tr, tmp_path/'trackers'/'mine'/'data'/f'{k:04d}.txt')
        lines.append(f'{k:04d} empty 000000 {14+k:06d}')
    (tmp_path/'gt'/'evaluate_mots.seqmap.val').write_text('\n'.join(lines) + '\n')
    want = official('KittiMOTS', tmp_path, dict(GT_FOLDER=str(tmp_path/'gt')))
    check(evaluate_mots(tmp_path/'gt', tmp_path/'trackers'/'mine', 'KITTI'), want, ['car', 'pedestrian'])
    table = mots_report(tmp_path/'gt', tmp_path/'trackers'/'mine', 'KITTI').table
    same(table.loc[('mine', 'car'), 'sMOTSA'], want['COMBINED_SEQ']['car']['CLEAR']['sMOTA'], eps=1e-9)

def test_regions_matter(tmp_path):
    "The scenes above would not notice a missing rule if nothing lay in the regions"
    gt, tr = pair(0, 1)
    for name,o in (('gt', gt), ('bare', gt[gt.cls != 10])): write_mots(o, tmp_path/name/'S.txt')
    write_mots(tr, tmp_path/'mine'/'S.txt')
    fp = [evaluate_mots(tmp_path/t, tmp_path/'mine', tell=str)['pedestrian'].value['CLR_FP'] for t in ('gt', 'bare')]
    assert fp[0] < fp[1], fp

def test_pictures_are_text(tmp_path):
    "The same masks as text and as pictures, as truth and as result"
    gt, tr = pair(3, 0)
    write_mots(gt, tmp_path/'a'/'0001.txt'), write_mots(tr, tmp_path/'b'/'0001.txt')
    write_mots_png(gt, tmp_path/'c'/'instances'/'0001'), write_mots_png(tr, tmp_path/'d'/'0001')
    one, two = (evaluate_mots(tmp_path/x, tmp_path/y, 'KITTI')['car'].value for x,y in ('ab', 'cd'))
    assert one == two and one['CLR_TP'] > 0

def test_bad_files_name_the_line(tmp_path):
    gt, tr = pair(0, 1)
    write_mots(gt, tmp_path/'gt'/'S-1'/'gt'/'gt.txt')
    (tmp_path/'res').mkdir()
    text = tr.to_csv(sep=' ', header=False, index=False, quoting=csv.QUOTE_NONE).splitlines()
    first = text[0].split()
    for lines,why in {('1 2 3',): 'S-1.txt:1 has 3 words', (*text[:2], text[0].replace(' ', ',')): 'S-1.txt:3 has 1 words', (text[0], text[0]): f'S-1.txt:2: id {first[1]} stands twice in frame 1',
                      (text[0], ' '.join([first[0], '2777', *first[2:]])): 'S-1.txt:2: the mask of id 2777 has pixels of id', (' '.join(['99', *first[1:]]), '')
                      : 'S-1: the result has masks in frame 99', (' '.join(first[:3] + ['60', '120'] + first[5:]),): 'S-1.txt:1: the string of run lengths has 7680 pixels; the picture has 60 x 120'}.items():
        (tmp_path/'gt'/'S-1'/'seqinfo.ini').write_text('[Sequence]\nseqLength=14\n')
        (tmp_path/'res'/'S-1.txt').write_text('\n'.join(lines) + '\n')
        with expect_error(ValueError, why): evaluate_mots(tmp_path/'gt', tmp_path/'res', tell=str)

def test_conversion_keeps_every_mask(tmp_path):
    import json
    gt, _ = pair(5, 1)
    write_mots(gt, tmp_path/'train'/'S-1'/'gt'/'gt.txt')
    (tmp_path/'test'/'S-2').mkdir(parents=True)
    for s in ('train/S-1', 'test/S-2'): (tmp_path/s/'seqinfo.ini').write_text('[Sequence]\nseqLength=14\nimWidth=120\nimHeight=64\nimExt=.png\n')
    files = mots2coco(tmp_path, tmp_path/'out')
    assert [f.name for f in files] == ['train_cocoformat.json', 'test_cocoformat.json']
    train, test = (json.loads(f.read_text()) for f in files)
    assert (len(test['images']), len(test['annotations']), test['images'][0]['file_name']) == (14, 0, 'S-2/img1/000001.png')
    want = gt[gt.cls == 2].sort_values(['frame', 'id'])
    rows = sorted((o['image_id'], o['mot_instance_id'], o['segmentation']['counts']) for o in train['annotations'] if not o['iscrowd'])
    assert rows == list(zip(want.frame, want.id, want.rle))
    assert sum(o['iscrowd'] for o in train['annotations']) == (gt.cls == 10).sum()
    assert (read_mots(tmp_path/'train'/'S-1'/'gt'/'gt.txt') == gt).all(axis=None)
