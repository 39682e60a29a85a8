"Samplers across real processes: two of them read every sample once, in an order that both work out alone"
import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from vidnb.core.testing import test_same as same
from vidnb.loading.dataloader import build_dataloader
from vidnb.loading.samplers import DistributedSampler, RepeatedAugmentSampler, unshare

class Numbers(torch.utils.data.Dataset):
    "Sample `i` knows its number, and draws one at random"
    def __init__(self, n): self.n = n
    def __len__(self): return self.n
    def __getitem__(self, i): return dict(i=i, x=np.random.rand())

def numbers(loader): return torch.cat([b['i'] for b in loader]).tolist()

def read(rank, folder, n, workers, seed):
    "What process `rank` of two reads in two epochs, written to a file of its own"
    torch.set_num_threads(1)
    dist.init_process_group('gloo', store=dist.FileStore(str(folder/'store'), 2), rank=rank, world_size=2)
    torch.manual_seed(rank)                       # the processes' own states differ, the order must not
    loader = build_dataloader(Numbers(n), 2, workers, dist=True, seed=seed)
    epochs = []
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        epochs.append([torch.cat([b[k] for b in batches]).tolist() for batches in [list(loader)] for k in ('i', 'x')])
    ra = RepeatedAugmentSampler(Numbers(n), copies='replicas')
    told = (ra.num_replicas, ra.rank)
    torch.save((epochs, list(ra), told, type(loader.sampler).__module__), folder/f'{rank}.pt')
    dist.barrier()
    dist.destroy_process_group()

@pytest.mark.parametrize('n, workers, seed', [(10, 1, 3), (7, 0, None)])
def test_two_processes_share_the_samples(tmp_path, n, workers, seed):
    mp.spawn(read, (tmp_path, n, workers, seed), nprocs=2)
    (a, ra_a, told_a, home), (b, ra_b, told_b, _) = (torch.load(tmp_path/f'{r}.pt') for r in range(2))
    same(home, 'vidnb.loading.samplers')
    same((told_a, told_b), ((2, 0), (2, 1)))
    for (i,x),(j,y) in zip(a, b):
        same((len(i), len(j)), (-(-n//2),)*2)
        same(sorted(set(i+j)), list(range(n)))
        same(len(i+j) - len(set(i+j)), n % 2)
        same(len(set(x+y)), len(x+y))             # no two workers, of whichever process, draw the same numbers
    assert a[0][0] != a[1][0]
    if seed is not None: same(a[0][0], list(DistributedSampler(range(n), 2, 0, seed=seed)))
    same(ra_a, ra_b)                              # copies of one video meet in one step
    same(np.bincount(ra_a + ra_b), np.full(n, 2))

def test_a_loader_without_processes_has_all_samples():
    for kw in (dict(sampler=DistributedSampler(Numbers(6))), dict(sampler=RepeatedAugmentSampler(Numbers(6)))):
        got = numbers(torch.utils.data.DataLoader(Numbers(6), batch_size=4, **kw))
        same(sorted(set(got)), list(range(6)))

def test_scores_of_all_processes_come_back_in_order():
    "What a test over three processes gives, put together, is the test of one"
    scores = np.random.default_rng(0).random((10, 4))
    parts = [[scores[i] for i in DistributedSampler(scores, 3, r, shuffle=False)] for r in range(3)]
    same(np.stack(unshare(parts, len(scores))), scores)

def test_more_processes_than_samples():
    for n in (1, 2, 3):
        shares = [list(DistributedSampler(range(n), 8, r, seed=1)) for r in range(8)]
        same([len(s) for s in shares], [1]*8)
        same(sorted(set(sum(shares, []))), list(range(n)))

class Frames(Numbers):
    "Videos of some lengths, one after the other"
    def __init__(self, lengths): self.video_lengths, self.test_mode, self.n = np.array(lengths), True, sum(lengths)
    def __getitem__(self, i): return i

def follow(rank, folder, sets, labels):
    "What process `rank` of two gets of whole videos, of a quota, and of identity batches that fastai cuts"
    from fastai.distributed import DistributedDL
    from vidnb.loading.identity_batches import IdentityBatchSampler, identity_loader
    from vidnb.loading.video_samplers import EntireVideoBatchSampler, QuotaSampler, VideoSampler
    class OnCPU(DistributedDL):
        def _broadcast(self, t, rank):             # fastai's goes by way of a GPU
            t = torch.tensor(t)
            dist.broadcast(t, rank)
            return t.tolist()
    torch.set_num_threads(1)
    people = torch.utils.data.TensorDataset(torch.arange(len(labels)), torch.as_tensor(labels))
    early = identity_loader(people, IdentityBatchSampler(labels, 4, 2), num_workers=0)      # before the processes meet
    dist.init_process_group('gloo', store=dist.FileStore(str(folder/'store'), 2), rank=rank, world_size=2)
    frames = [VideoSampler(Frames(l)) for l in sets]
    videos = [torch.utils.data.DataLoader(s.dataset, batch_sampler=EntireVideoBatchSampler(s)) for s in frames]
    quota, drawn = QuotaSampler(range(7), 5, seed=3), []
    for epoch in (0, 1, 0):
        quota.set_epoch(epoch)
        drawn.append(list(quota))
    cut = OnCPU(early, rank=rank, world_size=2)
    batches = [[y.tolist() for _,y in cut] for _ in range(2)]
    torch.save(dict(frames=[list(s) for s in frames], n_frames=[len(s) for s in frames], n_videos=[len(v) for v in videos], videos=[[b.tolist() for b in v] for v in videos], drawn=drawn, batches=batches, n=len(cut)), folder/f'{rank}.pt')
    dist.barrier()
    dist.destroy_process_group()

def test_two_processes_have_whole_videos_and_whole_batches(tmp_path):
    sets, labels = ([3,1,5,2,4], [9,1]), np.repeat(np.arange(12), [5,4,9,3,2,8,7,6,5,4,4,10])       # 7 batches, which two cannot share
    mp.spawn(follow, (tmp_path, sets, labels), nprocs=2)
    a, b = (torch.load(tmp_path/f'{r}.pt') for r in range(2))
    for k,lengths in enumerate(sets):
        same(a['frames'][k] + b['frames'][k], list(range(sum(lengths))))
        same([len(v) for o in (a, b) for v in o['videos'][k]], lengths)
        same([i for o in (a, b) for v in o['videos'][k] for i in v], list(range(sum(lengths))))
        same([(o['n_frames'][k], o['n_videos'][k]) for o in (a, b)], [(len(o['frames'][k]), len(o['videos'][k])) for o in (a, b)])
    for x,y in zip(a['drawn'], b['drawn']): same((len(x), len(y), len(set(x) | set(y))), (3, 3, 5))
    same((a['drawn'][2], a['drawn'][1] != a['drawn'][0]), (a['drawn'][0], True))
    for o in (a, b):
        for epoch in o['batches']:
            same((len(epoch), o['n']), (4, 4))
            for who in epoch: same(sorted(np.unique(who, return_counts=True)[1].tolist()), [2]*4)
    same(a['batches'][0] != a['batches'][1], True)
