//! `--check`: what a training would run on, said in one line.

use crate::cuda::{Driver, DriverGpu};
use crate::device::{exercise, machine_gpus, processors, usable_gpus, NoGpu};
use crate::error::TrainerError;
use crate::report::Reporter;
use model::protocol::{Event, Gpu, Setup};
use std::io::Write;
use tch::Device;

pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The libtorch that tch 0.26 is built for, and the only one it links with.
pub const LIBTORCH: &str = "2.13.0";

/// Uses the CPU and every GPU once, and reports what is there. A GPU that cannot be used is reported, not an error.
pub fn check<W: Write>(reporter: &mut Reporter<W>) -> Result<(), TrainerError> {
    exercise(Device::Cpu)?;
    let gpus = machine_gpus().unwrap_or_default();
    let (usable, missing) = match usable_gpus() {
        Ok(count) => (count, None),
        Err(missing) => (0, Some(missing)),
    };
    reporter.send(&Event::Setup(Setup {
        trainer: VERSION.into(),
        libtorch: LIBTORCH.into(),
        threads: processors(),
        instructions: instructions().into(),
        gpus: gpus.into_iter().enumerate().map(|(index, gpu)| examine(index, gpu, index < usable)).collect(),
        no_gpu: missing.as_ref().map(ToString::to_string),
        // A machine without a driver lacks nothing.
        hint: missing.filter(|why| *why != NoGpu::Driver).map(|why| why.hint().to_owned()),
    }))
}

fn examine(index: usize, DriverGpu { name, memory_bytes }: DriverGpu, usable: bool) -> Gpu {
    let examined = match usable {
        true => exercise(Device::Cuda(index)),
        false => return Gpu { name, memory_bytes, free_bytes: None, problem: None },
    };
    let problem = examined.err().and_then(|error| TrainerError::from(error).detail());
    let free_bytes = Driver::open().and_then(|driver| driver.free_bytes(index).ok());
    Gpu { name, memory_bytes, free_bytes, problem }
}

/// The widest vectors that libtorch has kernels for on this processor.
fn instructions() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        let avx512 = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl");
        match avx512 && is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512dq") {
            true => "AVX-512",
            false if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") => "AVX2",
            false => "SSE",
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        std::env::consts::ARCH
    }
}
