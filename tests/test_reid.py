"Re-identification: scores against the definition written out, real lists and frames, files to a report, batches over processes, the command line"
import argparse
import numpy as np
import pandas as pd
import pytest
import torch
from vidnb.core.testing import expect_error, shared_data, test_same as same
from vidnb.datasets.motchallenge import read_mot
from vidnb.datasets.reid import find_reid, mot2reid, read_reid_list, write_reid_list
from vidnb.datasets.reid_dataset import LoadReIDImage, PackReIDInputs, ReIDDataset
from vidnb.datasets.reid_report import features_of, read_reid_truth, reid_report, write_reid_features
from vidnb.function_commands import add_converters, add_evaluations
from vidnb.loading.identity_batches import IdentityBatchSampler
from vidnb.metrics.reid import ReIDMetrics, ReIDSearch, reid_ranks, reid_scores, reid_self_scores, reid_top

def definition(far, right, counts):
    "mAP, mINP, R1 and R5 of a matrix of distances: which are right, which count; of equal distances the wrong one stands first"
    ap, inp, first = [], [], []
    for d,r,c in zip(far, right, counts):
        order = sorted(np.flatnonzero(c).tolist(), key=lambda j: (d[j], r[j]))
        places = [i+1 for i,j in enumerate(order) if r[j]]
        if not places: continue
        ap.append(sum((k+1)/p for k,p in enumerate(places))/len(places))
        inp.append(len(places)/places[-1])
        first.append(places[0])
    return dict(mAP=float(np.mean(ap)), mINP=float(np.mean(inp)), R1=float(np.mean(np.array(first) <= 1)), R5=float(np.mean(np.array(first) <= 5)), queries=len(ap))

def draw(seed, grid):
    rng = np.random.default_rng(seed)
    x = lambda n: rng.integers(-2, 3, (n,4)).astype(float) if grid else rng.normal(size=(n,4))
    return x(60), x(300), rng.integers(1, 12, 60), rng.integers(-1, 12, 300), rng.integers(1, 4, 60), rng.integers(1, 4, 300)

@pytest.mark.parametrize('seed', range(6))
@pytest.mark.parametrize('grid', [False, True], ids=['free', 'ties'])
@pytest.mark.parametrize('cams', [False, True], ids=['no_cameras', 'cameras'])
@pytest.mark.parametrize('kind', [np.float32, np.float64, torch.float32])
def test_scores_are_the_definition(seed, grid, cams, kind):
    q, g, qi, gi, qc, gc = draw(seed, grid)
    make = (lambda o: torch.as_tensor(o, dtype=kind)) if isinstance(kind, torch.dtype) else (lambda o: o.astype(kind))
    far = ((q[:,None] - g)**2).sum(2)
    right, counts = qi[:,None] == gi, np.broadcast_to(gi != -1, far.shape)
    if cams: counts = counts & ~(right & (qc[:,None] == gc))
    got = reid_scores(make(q), make(g), qi, gi, *((qc, gc) if cams else ()), memory=(.002, .05, 32)[seed%3])
    want = definition(far, right, counts)
    same({k: got[k] for k in want}, want, eps=1e-12)

@pytest.mark.parametrize('metric', ['euclidean', 'cosine'])
def test_many_pictures_of_one_person_are_sorted_instead_of_counted(metric):
    "More than 64 right pictures a query take the other way"
    rng = np.random.default_rng(0)
    x, ids = rng.normal(size=(400,5)), rng.integers(0, 3, 400)
    y = x/np.linalg.norm(x, axis=1, keepdims=True) if metric == 'cosine' else x
    far = ((y[:,None] - y)**2).sum(2)
    got, want = reid_self_scores(x, ids, (1,5), metric), definition(far, ids[:,None] == ids, ~np.eye(400, dtype=bool))
    same({k: got[k] for k in want}, want, eps=1e-12)

def test_the_reference_example():
    x = np.array([[0,0],[.1,0],[1,0],[.9,.1],[.2,.1],[5,5]])
    m = ReIDMetrics('mAP', dict(rank_list=[1,2], max_rank=2))
    m.add('a', torch.tensor(x[:4]), torch.tensor([0,0,1,1]))
    m.add('b', torch.tensor(x[4:]), torch.tensor([1,2]))
    same([round(m.value[k], 3) for k in ('mAP', 'R1', 'R2')], [.883, .8, .8])

def test_a_query_is_left_out_by_its_number_not_by_its_place():
    "Pictures with the same features: whichever sorts first, none finds itself"
    x, ids = np.repeat(np.eye(3), 2, 0), np.array([0,1,0,1,2,2])
    got = reid_self_scores(x, ids, (1,2,3,5))
    far = ((x[:,None] - x)**2).sum(2)
    want = definition(far, ids[:,None] == ids, ~np.eye(6, dtype=bool))
    same((got['mAP'], got['R1']), (want['mAP'], want['R1']), eps=1e-12)
    same(got['R1'], 1/3, eps=1e-12)

def test_blocks_do_not_matter_and_memory_is_bounded():
    import tracemalloc
    rng = np.random.default_rng(1)
    args = rng.normal(size=(700,16)).astype(np.float32), rng.normal(size=(9000,16)).astype(np.float32), rng.integers(0, 99, 700), rng.integers(0, 99, 9000)
    whole = reid_ranks(ReIDSearch(*args, memory=100))
    tracemalloc.start()
    parts = reid_ranks(ReIDSearch(*args, memory=2))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    same({c: parts[c].to_numpy() for c in parts}, {c: whole[c].to_numpy() for c in whole})
    assert peak < 12e6 < 700*9000*4, peak

def test_top_follows_the_rules():
    q, g, qi, gi, qc, gc = draw(3, True)
    top = reid_top(ReIDSearch(q, g, qi, gi, qc, gc), 7)
    far = ((q[:,None] - g)**2).sum(2)
    far[(qi[:,None] == gi) & (qc[:,None] == gc)] = np.inf
    far[:,gi == -1] = np.inf
    same(top, np.argsort(far, 1, kind='stable')[:,:7])

# ---- data

def test_mmtrackings_list_is_read_and_written(tmp_path):
    fn = shared_data('annotations', 'mot17_reid_mmtracking_ann.txt')
    table = read_reid_list(fn)
    same((len(table), table.id.nunique()), (704, 11))
    assert write_reid_list(table, tmp_path/'again.txt').read_text().split() == fn.read_text().split()
    data = ReIDDataset(dict(num_ids=8, ins_per_id=4), fn, data_prefix='imgs', seed=0)
    got = data[703]
    assert len(got['img_path']) == 32 and len({int(o) for o in got['gt_label']}) == 8 and all(int(o) == int(table.id[703]) for o in got['gt_label'][:4])

def test_labels_need_not_be_contiguous():
    table = pd.DataFrame(dict(path=[f'{k}.jpg' for k in range(12)], id=np.repeat([5,100,1000], 4)))
    data = ReIDDataset(dict(num_ids=3, ins_per_id=2), table, seed=0)
    for i in range(12):
        labels = np.array(data[i]['gt_label']).reshape(3,2)
        assert set(labels[:,0].tolist()) == {5,100,1000} and (labels[:,0] == labels[:,1]).all() and labels[0,0] == table.id[i]
    with expect_error(ValueError, 'a group needs 4 people, and there are 3'): ReIDDataset(dict(num_ids=4, ins_per_id=2), table)

@pytest.fixture(scope='module')
def crops(tmp_path_factory):
    "The people of four real frames"
    out = tmp_path_factory.mktemp('reid')
    mot2reid(shared_data('mot', 'MOT17-mini'), out, min_per_person=4, vis_threshold=.2)
    return out

def test_mot2reid_cuts_what_the_truth_says(crops):
    import cv2
    folder = shared_data('mot', 'MOT17-mini', 'MOT17-02-FRCNN')
    gt = read_mot(folder/'gt'/'gt.txt')
    gt = gt[(gt.cls == 1) & (gt.visibility > .2)]
    gt = gt[gt.groupby('id').frame.transform('size') >= 4].sort_values(['id', 'frame'])
    table = find_reid(crops, 'train')
    same(len(table), len(gt))
    same(table.path.tolist(), [f'imgs/MOT17-02-FRCNN_{i:06d}/{n:06d}.jpg' for i,n in zip(gt.id, gt.groupby('id').cumcount())])
    row, path = gt.iloc[len(gt)//2], crops/table.path[len(gt)//2]
    img = cv2.imread(str(folder/'img1'/f'{int(row.frame):06d}.jpg'))
    want = img[max(0, int(row.y)):int(row.y+row.h), max(0, int(row.x)):int(row.x+row.w)].astype(int)
    got = cv2.imread(str(path)).astype(int)
    same(got.shape, want.shape)
    assert np.abs(got-want).mean() < 6      # jpg

def test_mot2reid_of_dancetrack_and_of_mot15(tmp_path):
    "Names of eight digits; no kinds and no visibility"
    import cv2
    rng = np.random.default_rng(0)
    for name,digits,tail in (('dancetrack0001', 8, '1,1,1'), ('KITTI-17', 6, '1,-1,-1,-1')):
        seq = tmp_path/name/'train'/name
        (seq/'gt').mkdir(parents=True)
        (seq/'img1').mkdir()
        (seq/'gt'/'gt.txt').write_text(''.join(f'{f},{k},{10*k},5,8,20,{tail}\n' for k in (1,2,3) for f in range(1, 10 if k < 3 else 5)))
        for f in range(1, 10): cv2.imwrite(str(seq/'img1'/f'{f:0{digits}d}.jpg'), rng.integers(0, 255, (40,60,3)).astype(np.uint8))
        lists = mot2reid(tmp_path/name, tmp_path/name/'out', val_split=.5)
        same([len(read_reid_list(p)) for p in lists], [9, 9, 18])
        same(read_reid_list(lists[1]).path[0], f'{name}_000002/000000.jpg')
    (seq/'img1'/'000004.jpg').unlink()
    with expect_error(FileNotFoundError, '000004.jpg is not there; 2 people are in it'): mot2reid(tmp_path/name, tmp_path/name/'again')

def test_groups_of_real_crops_are_packed(crops):
    data = ReIDDataset(dict(num_ids=4, ins_per_id=2), crops/'meta'/'train.txt', [LoadReIDImage(), PackReIDInputs()], crops/'imgs', seed=0)
    got = data[0]
    same((tuple(got['inputs'].shape), got['inputs'].dtype == torch.uint8, len(got['data_samples'].gt_label.label)), ((8,3,256,128), True, 8))

# ---- files to a report

def test_report_of_real_crops(crops, tmp_path):
    import cv2
    table = find_reid(crops, 'train')
    x = np.stack([cv2.resize(cv2.imread(str(crops/p)), (4,8)).ravel() for p in table.path]).astype(np.float32)
    file = write_reid_features(x[::-1], table.path[::-1], tmp_path/'thumbs.npz')
    report = reid_report(crops, file, split='train')
    want = reid_self_scores(x, table.id)
    same({k: float(v) for k,v in report.table.iloc[0].items()}, {k: float(v) for k,v in want.items()}, eps=1e-6)
    assert report.table.mAP.iloc[0] > .9    # neighbouring frames: nearly the same picture
    with expect_error(ValueError, 'has the splits'): reid_report(crops, file)

def test_a_csv_and_an_npz_are_the_same(tmp_path):
    q, g, qi, gi, qc, gc = draw(0, False)
    names = [f'{s}/{k}.jpg' for s,n in (('q', 60), ('g', 300)) for k in range(n)]
    x = np.concatenate([q, g])
    pd.DataFrame(dict(path=names, id=np.r_[qi,gi], camera=np.r_[qc,gc], split=['query']*60+['gallery']*300)).to_csv(tmp_path/'truth.csv', index=False)
    pd.DataFrame(x, index=names).to_csv(tmp_path/'a.csv')
    np.save(tmp_path/'b.npy', x)
    files = [tmp_path/'a.csv', tmp_path/'b.npy', write_reid_features(x, names, tmp_path/'c.npz')]
    report = reid_report(tmp_path/'truth.csv', files)
    want = reid_scores(q, g, qi, gi, qc, gc)
    for n in 'abc': same(float(report.table.mAP[n]), want['mAP'], eps=1e-12)

# ---- the shell

def test_commands_are_made_from_the_signatures(crops, tmp_path):
    table = find_reid(crops, 'val_20')
    file = write_reid_features(np.eye(table.id.max()+1)[table.id], table.path, tmp_path/'x.npz')
    argv = ['reid', '--truth', str(crops), '--pred', str(file), '--split', 'val_20', '--ranks', '1', '3', '--metric', 'cosine']
    parser = argparse.ArgumentParser()
    add_evaluations(parser.add_subparsers(), argv, dict(reid=('vidnb.datasets.reid_report', 'reid_report', 'features')))
    args = parser.parse_args(argv)
    same(args.run(args).table[['mAP', 'R1', 'R3']].values.tolist(), [[1.,1.,1.]])
    argv = ['mot2reid', '-i', str(shared_data('mot', 'MOT17-mini')), '-o', str(tmp_path/'cut'), '--min-per-person', '4', '--val-split', '.5']
    parser = argparse.ArgumentParser()
    add_converters(parser.add_subparsers(), argv, dict(mot2reid=('vidnb.datasets.reid', 'people')))
    args = parser.parse_args(argv)
    same([p.name for p in args.run(args)], ['train_50.txt', 'val_50.txt', 'train.txt'])

def test_commands_for_masks(tmp_path):
    davis = shared_data('vos', 'DAVIS')
    argv = ['vos', '--truth', str(davis), '--pred', str(davis/'results_osvos')]
    parser = argparse.ArgumentParser()
    add_evaluations(parser.add_subparsers(), argv, dict(vos=('vidnb.datasets.davis', 'vos_report', 'masks')))
    args = parser.parse_args(argv)
    same(round(float(args.run(args).table.loc['COMBINED', 'J-Mean']), 5), .9284)
    argv = ['davis2coco', '-i', str(davis), '-o', str(tmp_path)]
    parser = argparse.ArgumentParser()
    add_converters(parser.add_subparsers(), argv, dict(davis2coco=('vidnb.datasets.davis', 'masks')))
    args = parser.parse_args(argv)
    same([p.name for p in args.run(args)], ['davis2017_all.json'])

# ---- batches

@pytest.mark.parametrize('world', [1, 2, 3])
def test_ranks_share_an_epoch(world):
    labels = np.repeat(np.arange(40), np.random.default_rng(0).integers(4, 30, 40))
    for epoch in range(3):
        ranks = []
        for r in range(world):
            s = IdentityBatchSampler(torch.as_tensor(labels), 8, 4, num_replicas=world, rank=r, seed=5)
            s.set_epoch(epoch)
            ranks.append(list(s))
            assert len(ranks[-1]) == len(s)
        flat = np.concatenate([np.ravel(r) for r in ranks])
        assert len(np.unique(flat)) == len(flat), 'a picture comes twice'
        for b in (b for r in ranks for b in r):
            who = labels[b].reshape(8,4)
            assert (who == who[:,:1]).all() and len(set(who[:,0].tolist())) == 8

def test_few_pictures_are_drawn_with_replacement():
    labels = [0]*2 + [1]*9 + [2]*1
    for b in IdentityBatchSampler(labels, 3, 4, batches=5):
        assert sorted(np.bincount(np.array(labels)[b]).tolist()) == [4,4,4]
        assert set(np.array(b)[np.array(labels)[b] == 0].tolist()) == {0,1}     # both before a repeat
