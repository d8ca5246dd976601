//! What tch has no functions for: NVIDIA's driver, libtorch's CUDA library, and TF32. All of it is found at run time,
//! so that one program serves machines with and without a GPU. This is the one file of the trainer that may hold
//! `unsafe`.
//!
//! Names and memory come from the driver's own library and not from NVML: CUDA needs the former anyway, containers
//! often lack the latter, and both count the devices in orders of their own.
#![allow(unsafe_code)]

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use std::ffi::{c_char, c_int, c_uint, c_void, CStr};
use std::path::Path;

const DRIVER: &str = "libcuda.so.1";
const SUCCESS: c_int = 0;

/// NVIDIA's driver, as the CUDA driver API describes it.
pub struct Driver {
    library: &'static Library,
}

/// A GPU as the driver sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverGpu {
    pub name: String,
    pub memory_bytes: u64,
}

impl Driver {
    /// `None` without a driver, which takes some microseconds to find out. Stays loaded for the process's life: a
    /// driver that was started must not be unloaded.
    pub fn open() -> Option<Self> {
        // SAFETY: loading the driver runs its own initializers, as CUDA would.
        let library = unsafe { Library::open(Some(DRIVER), RTLD_NOW) }.ok()?;
        Some(Self { library: Box::leak(Box::new(library)) })
    }

    /// All GPUs, in CUDA's order: the index is the N of `cuda:N`. An error is in the driver's words.
    pub fn gpus(&self) -> Result<Vec<DriverGpu>, String> {
        // SAFETY: the signatures are those of cuda.h, and every pointer is to a variable that outlives the call.
        unsafe {
            let start: extern "C" fn(c_uint) -> c_int = self.function(c"cuInit")?;
            let count: extern "C" fn(*mut c_int) -> c_int = self.function(c"cuDeviceGetCount")?;
            let mut number = 0;
            self.check(start(0))?;
            self.check(count(&mut number))?;
            (0..number).map(|index| self.gpu(index)).collect()
        }
    }

    /// Fails unless the driver is initialized.
    fn gpu(&self, index: c_int) -> Result<DriverGpu, String> {
        let (mut device, mut text, mut bytes) = (0, [0; 256], 0);
        // SAFETY: as in `gpus`.
        let name = unsafe {
            let get: extern "C" fn(*mut c_int, c_int) -> c_int = self.function(c"cuDeviceGet")?;
            let name: extern "C" fn(*mut c_char, c_int, c_int) -> c_int =
                self.function(c"cuDeviceGetName")?;
            let memory: extern "C" fn(*mut usize, c_int) -> c_int = self.function(c"cuDeviceTotalMem_v2")?;
            self.check(get(&mut device, index))?;
            // One byte less than there is: the text ends with a zero whatever the driver does.
            self.check(name(text.as_mut_ptr(), text.len() as c_int - 1, device))?;
            self.check(memory(&mut bytes, device))?;
            CStr::from_ptr(text.as_ptr())
        };
        Ok(DriverGpu { name: name.to_string_lossy().into_owned(), memory_bytes: bytes as u64 })
    }

    /// Free bytes of a GPU. libtorch must have used the GPU before.
    pub fn free_bytes(&self, index: usize) -> Result<u64, String> {
        type Context = *mut c_void;
        let (mut device, mut context, mut free, mut total) = (0, std::ptr::null_mut(), 0, 0);
        // SAFETY: as in `gpus`. The device's context is the one that libtorch made; it is given back.
        unsafe {
            let get: extern "C" fn(*mut c_int, c_int) -> c_int = self.function(c"cuDeviceGet")?;
            let retain: extern "C" fn(*mut Context, c_int) -> c_int =
                self.function(c"cuDevicePrimaryCtxRetain")?;
            let release: extern "C" fn(c_int) -> c_int = self.function(c"cuDevicePrimaryCtxRelease_v2")?;
            let enter: extern "C" fn(Context) -> c_int = self.function(c"cuCtxPushCurrent_v2")?;
            let leave: extern "C" fn(*mut Context) -> c_int = self.function(c"cuCtxPopCurrent_v2")?;
            let memory: extern "C" fn(*mut usize, *mut usize) -> c_int = self.function(c"cuMemGetInfo_v2")?;
            self.check(get(&mut device, index as c_int))?;
            self.check(retain(&mut context, device))?;
            let measured = self.check(enter(context)).and_then(|()| {
                let measured = self.check(memory(&mut free, &mut total));
                self.check(leave(&mut context)).and(measured)
            });
            self.check(release(device)).and(measured)?;
        }
        Ok(free as u64)
    }

    /// # Safety
    /// `T` is the type of the driver's function of that name.
    unsafe fn function<T: Copy>(&self, name: &CStr) -> Result<T, String> {
        // SAFETY: the caller knows the function's type, and the driver is never unloaded.
        let found = unsafe { self.library.get::<T>(name.to_bytes_with_nul()) };
        found.map(|found| *found).map_err(|error| error.to_string())
    }

    fn check(&self, status: c_int) -> Result<(), String> {
        if status == SUCCESS {
            return Ok(());
        }
        let mut text: *const c_char = std::ptr::null();
        // SAFETY: as in `gpus`; the text is a constant of the driver.
        let words = unsafe {
            let explain: extern "C" fn(c_int, *mut *const c_char) -> c_int =
                self.function(c"cuGetErrorString")?;
            match explain(status, &mut text) == SUCCESS && !text.is_null() {
                true => CStr::from_ptr(text).to_string_lossy().into_owned(),
                false => "unknown error".to_owned(),
            }
        };
        Err(format!("{words} (CUDA error {status})"))
    }
}

/// Loads a library of libtorch for the process's life, so that libtorch finds what it registers. Must happen before
/// libtorch is asked about CUDA: it remembers the first answer.
pub fn load_for_good(library: &Path) -> Result<(), String> {
    // SAFETY: loading runs the library's initializers, which register its kernels with libtorch.
    let library = unsafe { Library::open(Some(library), RTLD_NOW | RTLD_GLOBAL) };
    library.map(std::mem::forget).map_err(|error| error.to_string())
}

/// Lets libtorch compute products of 32-bit floats on a GPU with TF32, or forbids it again, for the whole process.
pub fn allow_tf32(allowed: bool) -> Result<(), String> {
    type Context = *mut c_void;
    // SAFETY: at::globalContext() and at::Context::setAllowTF32CuBLAS(bool) of the libtorch that this program is
    // linked with, called as C++ calls them: a reference is a pointer, and `this` is the first argument.
    unsafe {
        let this = Library::this();
        let context = this
            .get::<extern "C-unwind" fn() -> Context>(b"_ZN2at13globalContextEv\0")
            .map_err(|error| error.to_string())?;
        let set = this
            .get::<extern "C-unwind" fn(Context, bool)>(b"_ZN2at7Context18setAllowTF32CuBLASEb\0")
            .map_err(|error| error.to_string())?;
        set(context(), allowed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tf32_is_allowed() -> bool {
        // SAFETY: as in `allow_tf32`, with at::Context::allowTF32CuBLAS() const.
        unsafe {
            let this = Library::this();
            let context =
                this.get::<extern "C-unwind" fn() -> *mut c_void>(b"_ZN2at13globalContextEv\0").unwrap();
            let get = this
                .get::<extern "C-unwind" fn(*mut c_void) -> bool>(b"_ZNK2at7Context15allowTF32CuBLASEv\0")
                .unwrap();
            get(context())
        }
    }

    #[test]
    fn tf32_is_off_until_it_is_allowed_and_can_be_forbidden_again() {
        assert!(!tf32_is_allowed());
        allow_tf32(true).unwrap();
        assert!(tf32_is_allowed());
        allow_tf32(false).unwrap();
        assert!(!tf32_is_allowed());
    }

    #[test]
    fn a_library_that_cannot_be_loaded_is_an_error_that_names_it() {
        let error = load_for_good(Path::new("/nowhere/libtorch_cuda.so")).unwrap_err();
        assert!(error.contains("/nowhere/libtorch_cuda.so"), "{error}");
    }
}
