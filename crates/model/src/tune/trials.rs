//! How many trainings of a search go on at once, and what each may use.

/// What there is to train on.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// CPU threads that trainings may use in all.
    pub cores: usize,
    pub gpus: usize,
}

/// Trials that are trained side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trials {
    /// The training parameter `device` of each.
    pub devices: Vec<String>,
    /// The training parameter `threads` of each.
    pub threads: usize,
}

/// Most trainings at once unless another number is asked for: more of them would share the memory bus and gain little.
const MOST_BY_DEFAULT: usize = 8;

impl Trials {
    /// For at most `trials` trainings on `device` (the training parameter). `parallel` is how many were asked for; 0 is one
    /// for each core, at most 8, and on GPUs one for each: `cuda` is dealt over all of them. The threads are shared out,
    /// one at least.
    pub fn new(machine: Machine, device: &str, parallel: usize, trials: usize) -> Self {
        let by_default = match device {
            "cuda" => machine.gpus,
            // `auto` is the CPU or a GPU, which is only known once libtorch has been asked.
            "auto" if machine.gpus > 0 => 1,
            "auto" | "cpu" => machine.cores.min(MOST_BY_DEFAULT),
            _ => 1,
        };
        let wanted = if parallel == 0 { by_default } else { parallel };
        let count = wanted.min(trials).max(1);
        let device_of = |n: usize| match device {
            "cuda" if machine.gpus > 1 => format!("cuda:{}", n % machine.gpus),
            other => other.to_owned(),
        };
        Self { devices: (0..count).map(device_of).collect(), threads: (machine.cores / count).max(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side_by_side(
        cores: usize,
        gpus: usize,
        device: &str,
        parallel: usize,
        trials: usize,
    ) -> (Vec<String>, usize) {
        let Trials { devices, threads } = Trials::new(Machine { cores, gpus }, device, parallel, trials);
        (devices, threads)
    }

    #[test]
    fn cores_are_shared_out() {
        for (cores, parallel, trials, expected) in [
            (2, 0, 20, (2, 1)),
            (64, 0, 20, (8, 8)),
            (16, 4, 20, (4, 4)),
            (16, 0, 3, (3, 5)),
            (2, 5, 20, (5, 1)),
            (1, 0, 1, (1, 1)),
        ] {
            let (devices, threads) = side_by_side(cores, 0, "auto", parallel, trials);
            assert_eq!((devices.len(), threads), expected, "{cores} {parallel} {trials}");
            assert!(devices.iter().all(|device| device == "auto"));
        }
    }

    #[test]
    fn a_gpu_has_one_unless_more_are_asked_for_and_several_are_dealt_out() {
        assert_eq!(side_by_side(16, 1, "auto", 0, 20), (vec!["auto".to_owned()], 16));
        assert_eq!(side_by_side(16, 1, "cuda:3", 0, 20), (vec!["cuda:3".to_owned()], 16));
        assert_eq!(
            side_by_side(16, 0, "cuda", 0, 20),
            (vec!["cuda".to_owned()], 16),
            "the trainer says what is missing"
        );
        assert_eq!(side_by_side(16, 1, "cuda", 2, 20), (vec!["cuda".to_owned(); 2], 8));
        let dealt = |devices: &[usize]| devices.iter().map(|n| format!("cuda:{n}")).collect::<Vec<_>>();
        assert_eq!(side_by_side(16, 2, "cuda", 0, 20), (dealt(&[0, 1]), 8));
        assert_eq!(side_by_side(16, 2, "cuda", 3, 20), (dealt(&[0, 1, 0]), 5));
        assert_eq!(side_by_side(16, 4, "cpu", 0, 20).0.len(), 8);
    }
}
