//! Where a training computes: on the CPU, or on a GPU if there is one and libtorch's CUDA library is installed.
//!
//! The program is linked with libtorch's CPU library only. The CUDA library is opened if a GPU is asked for or may be
//! taken, and if NVIDIA's driver is there: a machine without the driver pays for a single look-up that fails.

use crate::cuda::{self, Driver, DriverGpu};
use crate::error::TrainerError;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use tch::{Cuda, Device, Kind, TchError, Tensor};
use thiserror::Error;

const CPU_LIBRARY: &str = "libtorch_cpu.so";
const CUDA_LIBRARY: &str = "libtorch_cuda.so";

/// Why libtorch has no GPU to compute on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoGpu {
    #[error("there is no NVIDIA driver")]
    Driver,
    #[error("the NVIDIA driver finds no GPU: {0}")]
    Device(String),
    #[error("libtorch is the one for the CPU: there is no {CUDA_LIBRARY} in {}", .0.display())]
    Library(PathBuf),
    #[error("{CUDA_LIBRARY} cannot be loaded: {0}")]
    Load(String),
    #[error("libtorch finds no CUDA device, though the driver does")]
    Torch,
}

impl NoGpu {
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Driver | Self::Device(_) => {
                "A GPU needs NVIDIA's driver, and access to its device files for the server's user."
            }
            Self::Library(_) | Self::Load(_) => {
                "Install libtorch with CUDA, as pip install torch does, of the version that reco.check_setup() names, and set \
                 reco.libtorch_path to its folder torch/lib."
            }
            Self::Torch => "The driver may be older than libtorch's CUDA: update NVIDIA's driver.",
        }
    }
}

/// What a training asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Auto,
    Cpu,
    Gpu(usize),
}

impl Wanted {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Self::Auto),
            "cpu" => Some(Self::Cpu),
            "cuda" => Some(Self::Gpu(0)),
            other => other.strip_prefix("cuda:")?.parse().ok().map(Self::Gpu),
        }
    }
}

/// The device of the training parameter `device`: `auto` is the first GPU if libtorch can use one.
pub fn device_of(name: &str) -> Result<Device, TrainerError> {
    match Wanted::parse(name) {
        Some(wanted) => choose(wanted, usable_gpus),
        None => Err(refuse(format!("unknown device \"{name}\""), "")),
    }
}

/// Looks for GPUs only where one may be taken.
fn choose(wanted: Wanted, gpus: impl FnOnce() -> Result<usize, NoGpu>) -> Result<Device, TrainerError> {
    let number = match wanted {
        Wanted::Cpu => return Ok(Device::Cpu),
        Wanted::Auto => return Ok(gpus().map_or(Device::Cpu, |_| Device::Cuda(0))),
        Wanted::Gpu(number) => number,
    };
    let asked = |problem: String| format!("device \"cuda:{number}\" was asked for, but {problem}");
    match gpus() {
        Ok(count) if number < count => Ok(Device::Cuda(number)),
        Ok(count) => {
            Err(refuse(asked(format!("the number of CUDA devices is {count}")), "Counting starts at 0."))
        }
        Err(missing) => Err(refuse(asked(missing.to_string()), missing.hint())),
    }
}

fn refuse(message: String, hint: &str) -> TrainerError {
    let other = "Or set the training parameter \"device\" to auto or cpu.";
    TrainerError::Device { message, hint: format!("{hint} {other}").trim_start().to_owned() }
}

/// The GPUs that the driver knows, at least one; whether libtorch can use them is another matter.
pub fn machine_gpus() -> Result<Vec<DriverGpu>, NoGpu> {
    let gpus = Driver::open().ok_or(NoGpu::Driver)?.gpus().map_err(NoGpu::Device)?;
    match gpus.is_empty() {
        true => Err(NoGpu::Device("it counts none".into())),
        false => Ok(gpus),
    }
}

/// Opens libtorch's CUDA library if the machine has a GPU, since that can take seconds, and returns the number of GPUs
/// that libtorch can use, at least one.
pub fn usable_gpus() -> Result<usize, NoGpu> {
    machine_gpus()?;
    let library = libtorch_folder().join(CUDA_LIBRARY);
    if !library.exists() {
        return Err(NoGpu::Library(libtorch_folder()));
    }
    cuda::load_for_good(&library).map_err(NoGpu::Load)?;
    match Cuda::device_count() {
        count if count > 0 => Ok(count as usize),
        _ => Err(NoGpu::Torch),
    }
}

/// The folder that libtorch was loaded from.
fn libtorch_folder() -> PathBuf {
    // A process can always read its own maps. Should it fail, the path is empty, which leaves the linker's search path.
    folder_in_maps(&std::fs::read_to_string("/proc/self/maps").unwrap_or_default()).unwrap_or_default()
}

/// The folder of libtorch's CPU library in the text of `/proc/PID/maps`.
fn folder_in_maps(maps: &str) -> Option<PathBuf> {
    maps.lines()
        .filter_map(|line| line.find('/').map(|start| Path::new(&line[start..])))
        .find(|path| path.file_name().is_some_and(|name| name == CPU_LIBRARY))
        .and_then(Path::parent)
        .map(Path::to_owned)
}

/// Processors that this process may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get())
}

/// The device as the training parameter `device` names it.
pub fn device_name(device: Device) -> String {
    match device {
        Device::Cuda(number) => format!("cuda:{number}"),
        _ => "cpu".into(),
    }
}

/// A GPU that is being started up in a thread of its own, while the data are read.
#[must_use]
pub struct WarmUp(Option<JoinHandle<Result<(), TchError>>>);

/// Lets a GPU create its context, load its kernels and make its cuBLAS handles, which takes a second or more; nothing
/// on the CPU.
pub fn warm_up(device: Device) -> WarmUp {
    WarmUp(device.is_cuda().then(|| std::thread::spawn(move || exercise(device))))
}

impl WarmUp {
    /// Must be called before the device is first used: only when the thread has ended can its cuBLAS handle be taken
    /// over.
    pub fn wait(self) -> Result<(), TrainerError> {
        match self.0.map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result.map_err(TrainerError::from),
            Some(Err(_)) => Err(TrainerError::internal("the thread that warmed up the device panicked")),
        }
    }
}

/// One product and its gradient on the device, compared with the right answer on the host.
pub fn exercise(device: Device) -> Result<(), TchError> {
    const SIDE: i64 = 64;
    let x = Tensor::f_ones([SIDE, SIDE], (Kind::Float, device))?.f_set_requires_grad(true)?;
    let sum = x.f_linear(&x, None::<&Tensor>)?.f_sum(Kind::Float)?;
    let gradient = Tensor::f_run_backward(&[&sum], &[&x], false, false)?.remove(0);
    let found = (sum.f_double_value(&[])?, gradient.f_sum(Kind::Float)?.f_double_value(&[])?);
    // Sums of ones are exact in every precision.
    let cube = (SIDE * SIDE * SIDE) as f64;
    match found == (cube, 2.0 * cube) {
        true => Ok(()),
        false => Err(TchError::Torch(format!("{} computes wrong products: {found:?}", device_name(device)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(name: &str, gpus: Result<usize, NoGpu>) -> Result<Device, TrainerError> {
        choose(Wanted::parse(name).unwrap(), || gpus)
    }

    #[test]
    fn auto_is_the_first_gpu_where_there_is_one() {
        assert_eq!(chosen("auto", Ok(2)).unwrap(), Device::Cuda(0));
        for missing in [NoGpu::Driver, NoGpu::Library("/lib".into()), NoGpu::Torch] {
            assert_eq!(chosen("auto", Err(missing)).unwrap(), Device::Cpu);
        }
    }

    #[test]
    fn the_cpu_never_looks_for_a_gpu() {
        assert_eq!(choose(Wanted::Cpu, || unreachable!("it was told to stay away")).unwrap(), Device::Cpu);
    }

    #[test]
    fn a_gpu_is_the_one_of_its_number() {
        assert_eq!(chosen("cuda", Ok(2)).unwrap(), Device::Cuda(0));
        assert_eq!(chosen("cuda:1", Ok(2)).unwrap(), Device::Cuda(1));
        let error = chosen("cuda:2", Ok(2)).unwrap_err();
        assert_eq!(error.to_string(), "device \"cuda:2\" was asked for, but the number of CUDA devices is 2");
    }

    #[test]
    fn a_gpu_that_is_asked_for_and_missing_says_why_and_what_to_do() {
        for (missing, reason, hint) in [
            (NoGpu::Driver, "there is no NVIDIA driver", "driver"),
            (
                NoGpu::Library("/some/folder".into()),
                "no libtorch_cuda.so in /some/folder",
                "reco.libtorch_path",
            ),
            (NoGpu::Load("libcudnn.so.9: no such file".into()), "libcudnn.so.9", "reco.libtorch_path"),
            (NoGpu::Torch, "finds no CUDA device", "update"),
        ] {
            let error = chosen("cuda", Err(missing)).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
            let said = error.hint().unwrap();
            assert!(said.contains(hint) && said.contains("auto or cpu"), "{said}");
        }
    }

    #[test]
    fn names_are_those_of_the_parameter() {
        for (name, wanted) in [
            ("auto", Some(Wanted::Auto)),
            ("cpu", Some(Wanted::Cpu)),
            ("cuda", Some(Wanted::Gpu(0))),
            ("cuda:7", Some(Wanted::Gpu(7))),
            ("cuda:", None),
            ("cuda:-1", None),
            ("tpu", None),
        ] {
            assert_eq!(Wanted::parse(name), wanted, "{name}");
        }
        assert_eq!(device_name(Device::Cuda(3)), "cuda:3");
    }

    #[test]
    fn the_folder_is_that_of_the_library_in_use() {
        let maps = "7f00-7f01 r-xp 00000000 08:01 12 /opt/lib/libtorch_cpu.so.old\n\
                    7f01-7f02 rw-p 00000000 00:00 0\n\
                    7f02-7f03 r-xp 00001000 08:01 13                 /opt/with space/libtorch_cpu.so\n";
        assert_eq!(folder_in_maps(maps), Some("/opt/with space".into()));
        assert_eq!(folder_in_maps("7f01-7f02 rw-p 00000000 00:00 0 [heap]"), None);
        assert!(libtorch_folder().join(CPU_LIBRARY).exists());
    }

    #[test]
    fn a_device_that_works_gives_the_right_product_and_gradient() {
        exercise(Device::Cpu).unwrap();
        warm_up(Device::Cpu).wait().unwrap();
    }
}
