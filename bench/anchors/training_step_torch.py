"""One training step of the seed article's network in PyTorch eager, the yardstick of bench/training-step.ts.

The same network, batch, loss and optimiser as src/infomax. For each line read from standard input it runs a few steps and prints their median wall
and processor milliseconds, so that the benchmark can take turns with it.
Run with a PyTorch of your own, or Debian's (with a fast BLAS): apt-get install python3-torch libopenblas0; /usr/bin/python3 bench/anchors/training_step_torch.py --threads 2
"""
import argparse
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        channels = [3, 64, 128, 256, 256, 256]
        self.convolutions = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1, bias=False) for i, o in zip(channels, channels[1:]))
        self.norms = nn.ModuleList(nn.BatchNorm2d(o, eps=1e-3, momentum=0.01) for o in channels[1:])
        self.mean = nn.Linear(256, 256)
        self.log_variance = nn.Linear(256, 256)

    def forward(self, x):
        for index, (convolution, norm) in enumerate(zip(self.convolutions, self.norms)):
            x = F.leaky_relu(norm(convolution(x)), 0.2)
            if index < 3:
                x = F.max_pool2d(x, 2)
            if index == 2:
                feature_map = x
        pooled = x.amax(dim=(2, 3))
        return feature_map, self.mean(pooled), self.log_variance(pooled)


def discriminator() -> nn.Module:
    layers = []
    for inputs, outputs in [(512, 256), (256, 256), (256, 256)]:
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(256, 1))


def jensen_shannon(positive, negative):
    return F.softplus(-positive).mean() + F.softplus(negative).mean()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    batch = options.batch
    encoder, global_, local = Encoder(), discriminator(), discriminator()
    parameters = [p for module in (encoder, global_, local) for p in module.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=1e-3, eps=1e-7)

    def step() -> tuple:
        images = torch.rand(batch, 3, 32, 32) - 0.5
        noise = torch.randn(batch, 256)
        one, two = torch.randperm(batch), torch.randperm(batch)
        wall, processor = time.perf_counter(), time.process_time()
        optimiser.zero_grad(set_to_none=True)
        feature_map, mean, log_variance = encoder(images)
        z = mean + torch.exp(log_variance / 2) * noise
        global_loss = jensen_shannon(global_(torch.cat([z, z], 1)), global_(torch.cat([z, z[one]], 1)))
        places = feature_map.permute(0, 2, 3, 1).reshape(batch, 16, 256)
        tiled = z[:, None, :].expand(batch, 16, 256)
        local_loss = jensen_shannon(
            local(torch.cat([tiled, places], 2).reshape(batch * 16, 512)),
            local(torch.cat([tiled, places[two]], 2).reshape(batch * 16, 512)),
        )
        prior = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).mean()
        loss = 0.5 * global_loss + 1.5 * local_loss + 0.01 * prior
        loss.backward()
        optimiser.step()
        return (time.perf_counter() - wall) * 1000, (time.process_time() - processor) * 1000

    step()
    for _ in sys.stdin:
        times = [step() for _ in range(options.steps)]
        print(*(f"{statistics.median(column):.2f}" for column in zip(*times)), flush=True)


if __name__ == "__main__":
    main()
