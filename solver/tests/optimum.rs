//! Three ways to the cheapest plan of a small problem: trying everything, a mixed integer
//! programme, and the packer, which has to prove that there is none cheaper.

#![allow(clippy::expect_used, reason = "a test may fail")]

use berth_solver::model::*;
use berth_solver::packing::{self, Never, Settings};
use berth_solver::testing::*;
use berth_solver::verify::verify;
use good_lp::{Expression, ProblemVariables, Solution, SolverModel, default_solver, variable};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// A machine: CPU in thousandths, memory in MiB, price.
type Machine = (i64, i64, f64);
/// A pod: CPU, memory, and whether it wants no other of its kind on its node.
type Wanted = (i64, i64, bool);

struct Small {
    machines: Vec<Machine>,
    pods: Vec<Wanted>,
    /// Nodes that are there: CPU and memory.
    there: Vec<(i64, i64)>,
    /// What each node counts for beyond its price.
    price_per_node: f64,
}

impl Small {
    fn random(seed: u64) -> Self {
        let random = &mut SmallRng::seed_from_u64(seed);
        let machines = (0..random.random_range(1..5))
            .map(|_| {
                let (cpu, memory) = (random.random_range(2..9), random.random_range(2..17));
                // Cents, so that sums are exact enough to compare.
                let cents = 4 * cpu + memory + random.random_range(0..8);
                (cpu * 1_000, memory * 1_024, cents as f64 / 100.0)
            })
            .collect();
        let kinds: Vec<Wanted> = (0..random.random_range(1..5))
            .map(|_| {
                let (cpu, memory) = (random.random_range(1..12), random.random_range(1..16));
                (cpu * 250, memory * 256, random.random_bool(0.2))
            })
            .collect();
        let pods = (0..random.random_range(1..9))
            .map(|_| kinds[random.random_range(0..kinds.len())])
            .collect();
        let price_per_node = [0.0, 0.0, 0.05, 0.3][random.random_range(0..4)];
        Self { machines, pods, there: Vec::new(), price_per_node }
    }

    /// The same beside one or two nodes that are there.
    fn beside_nodes(seed: u64) -> Self {
        let random = &mut SmallRng::seed_from_u64(seed.wrapping_add(1 << 32));
        let there = (0..random.random_range(1..3))
            .map(|_| (random.random_range(1..7) * 1_000, random.random_range(1..11) * 1_024));
        Self { there: there.collect(), ..Self::random(seed) }
    }

    fn snapshot(&self) -> Snapshot {
        let types = self.machines.iter().enumerate().map(|(index, (cpu, memory, price))| {
            let sold = vec![offering("zone-a", CapacityType::OnDemand, *price)];
            instance_type(&format!("type-{index}"), *cpu, *memory, sold)
        });
        let pods = self.pods.iter().enumerate().map(|(index, (cpu, memory, alone))| {
            let app = format!("app-{cpu}-{memory}");
            let plain = shape(*cpu, *memory).label("app", &app);
            let built = if *alone { plain.alone_in(well_known::HOSTNAME_LABEL) } else { plain };
            pod(&format!("pod-{index}"), &built.build())
        });
        let nodes = self.there.iter().enumerate();
        let nodes =
            nodes.map(|(index, (cpu, memory))| node(&format!("node-{index}"), *cpu, *memory));
        let cluster = cluster().pool(pool("default"), Catalog::new(types.collect())).pods(pods);
        nodes.fold(cluster, |cluster, node| cluster.node(node)).snapshot()
    }

    fn settings(&self) -> Settings {
        Settings { price_per_node: price(self.price_per_node), ..Settings::default() }
    }

    /// What these pods take together, by the bits of a number; `None` if they keep each other away.
    fn together(&self, pods: usize) -> Option<(i64, i64)> {
        let here: Vec<&Wanted> = (0..self.pods.len())
            .filter(|index| pods & (1 << index) != 0)
            .map(|index| &self.pods[index])
            .collect();
        let clash =
            here.iter().enumerate().any(|(index, one)| one.2 && here[index + 1..].contains(one));
        let cpu: i64 = here.iter().map(|one| one.0).sum();
        let memory: i64 = here.iter().map(|one| one.1).sum();
        (!clash).then_some((cpu, memory))
    }

    /// What the cheapest machine that holds these pods costs.
    fn one_node(&self, pods: usize) -> Option<f64> {
        let (cpu, memory) = self.together(pods)?;
        let holds = |machine: &&Machine| machine.0 >= cpu && machine.1 >= memory;
        let prices = self.machines.iter().filter(holds).map(|machine| machine.2);
        prices.reduce(f64::min).map(|price| price + self.price_per_node)
    }

    /// The parts of these pods that a node that is there takes: nobody, too.
    fn parts(&self, (has_cpu, has_memory): (i64, i64), pods: usize) -> Vec<usize> {
        let fits = |part: &usize| {
            let takes = self.together(*part);
            takes.is_some_and(|(cpu, memory)| cpu <= has_cpu && memory <= has_memory)
        };
        (0..=pods).filter(|part| part & !pods == 0).filter(fits).collect()
    }

    /// The least cost of all ways to divide the pods among nodes; `None` if some pod fits nowhere.
    fn by_trying_everything(&self) -> Option<f64> {
        let all = (1 << self.pods.len()) - 1;
        let mut best: Vec<Option<f64>> = vec![None; all + 1];
        best[0] = Some(0.0);
        for pods in 1..=all {
            let first = pods & pods.wrapping_neg();
            let rest = pods & !first;
            let mut others = rest;
            loop {
                let node = first | others;
                let price = self.one_node(node).zip(best[pods & !node]).map(|(a, b)| a + b);
                best[pods] = match (best[pods], price) {
                    (Some(one), Some(other)) => Some(one.min(other)),
                    (one, other) => one.or(other),
                };
                if others == 0 {
                    break;
                }
                others = (others - 1) & rest;
            }
        }
        // Whoever is on a node that is there needs no new one.
        let mut waiting = vec![all];
        for node in &self.there {
            let parts = |pods: &usize| -> Vec<usize> {
                self.parts(*node, *pods).into_iter().map(|part| pods & !part).collect()
            };
            waiting = waiting.iter().flat_map(parts).collect();
        }
        waiting.into_iter().filter_map(|pods| best[pods]).reduce(f64::min)
    }

    /// The same by a mixed integer programme: as many nodes as pods, each of one type or none.
    fn by_integer_programme(&self) -> f64 {
        let mut variables = ProblemVariables::new();
        let slots = self.pods.len();
        let mut add = |count: usize| -> Vec<_> {
            (0..count).map(|_| variables.add(variable().binary())).collect()
        };
        let types: Vec<Vec<_>> = (0..slots).map(|_| add(self.machines.len())).collect();
        // The first pod may only be in the first slot, the second in the first two, and so on.
        let places: Vec<Vec<_>> = (0..slots).map(|pod| add(pod + 1)).collect();
        let price: Expression = types
            .iter()
            .flat_map(|slot| {
                let cost = |machine: &Machine| machine.2 + self.price_per_node;
                slot.iter().zip(&self.machines).map(move |(used, machine)| cost(machine) * *used)
            })
            .sum();
        let mut programme = variables.minimise(price.clone()).using(default_solver);
        for slots in &places {
            let places: Expression = slots.iter().sum();
            programme = programme.with(places.eq(1.0));
        }
        for slot in 0..slots {
            let here = || (slot..self.pods.len()).map(|pod| (self.pods[pod], places[pod][slot]));
            let cpu: Expression = here().map(|(pod, placed)| pod.0 as f64 / 1e3 * placed).sum();
            let memory: Expression =
                here().map(|(pod, placed)| pod.1 as f64 / 1_024.0 * placed).sum();
            let kinds = || types[slot].iter().zip(&self.machines);
            let has_cpu: Expression =
                kinds().map(|(used, machine)| machine.0 as f64 / 1e3 * *used).sum();
            let has_memory: Expression =
                kinds().map(|(used, machine)| machine.1 as f64 / 1_024.0 * *used).sum();
            let one: Expression = types[slot].iter().sum();
            programme = programme.with(cpu.leq(has_cpu)).with(memory.leq(has_memory));
            programme = programme.with(one.leq(1.0));
            for kind in self.pods.iter().filter(|pod| pod.2) {
                let alike: Expression =
                    here().filter(|(pod, _)| pod == kind).map(|(_, placed)| placed).sum();
                programme = programme.with(alike.leq(1.0));
            }
        }
        let solution = programme.solve().expect("a solution");
        solution.eval(price)
    }
}

#[test]
fn trying_everything_and_the_packer_agree_on_the_optimum_and_the_bound_never_exceeds_it() {
    agree(Small::random);
}

#[test]
fn beside_nodes_that_are_there_too() {
    agree(Small::beside_nodes);
}

fn agree(problem: fn(u64) -> Small) {
    let (mut proven, mut feasible) = (0, 0);
    for seed in 0..300 {
        let small = problem(seed);
        let Some(optimum) = small.by_trying_everything() else { continue };
        // Pods that only a node that is there takes are left out of the proof.
        if !(0..small.pods.len()).all(|pod| small.one_node(1 << pod).is_some()) {
            continue;
        }
        feasible += 1;
        let (snapshot, settings) = (small.snapshot(), small.settings());
        let plan = packing::plan(&snapshot, &settings, Timestamp::from_seconds(1), seed, &Never);
        assert_eq!(verify(&snapshot, &settings.scheduler_names, &plan), [], "seed {seed}");
        assert_eq!(plan.unschedulable.len(), 0, "seed {seed}");
        let (cost, bound) = (plan.cost().as_f64(), plan.lower_bound.as_f64());
        assert!(bound <= optimum + 1e-9, "seed {seed}: bound {bound}, optimum {optimum}");
        assert!((cost - optimum).abs() < 1e-9, "seed {seed}: {cost}, optimum {optimum}");
        proven += usize::from(plan.cost() == plan.lower_bound);
    }
    assert!(feasible > 150, "{feasible} problems can be solved at all");
    assert_eq!(proven, feasible, "problems whose optimum is proven");
}

#[test]
fn the_integer_programme_agrees_too() {
    let small = (0..).map(Small::random).filter(|small| small.pods.len() <= 5);
    for (index, small) in small.take(40).enumerate() {
        let Some(optimum) = small.by_trying_everything() else { continue };
        let price = small.by_integer_programme();
        assert!((price - optimum).abs() < 1e-6, "problem {index}: {price}, optimum {optimum}");
    }
}
