//! `--check` on machines with and without a GPU. The driver of the former is a small library of these tests that
//! claims to be one; the trainer finds it as it would find NVIDIA's.

use model::protocol::{Event, Setup};
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// Two GPUs, or the error that `FAKE_CUDA_ERROR` names.
const DRIVER: &str = r#"
    #include <stdio.h>
    #include <stdlib.h>
    int cuInit(unsigned flags) { char *status = getenv("FAKE_CUDA_ERROR"); return status ? atoi(status) : 0; }
    int cuGetErrorString(int status, const char **text) { *text = "no CUDA-capable device is detected"; return 0; }
    int cuDeviceGetCount(int *count) { *count = 2; return 0; }
    int cuDeviceGet(int *device, int index) { *device = 40 + index; return 0; }
    int cuDeviceGetName(char *name, int length, int device) {
        snprintf(name, length, "Test GPU %d", device - 40); return 0;
    }
    int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)(device - 39) << 33; return 0; }
"#;

/// A folder with the driver, and libtorch's folder as a search path behind it.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn without_gpu() -> Self {
        Self { folder: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap() }
    }

    fn with_gpus() -> Self {
        let machine = Self::without_gpu();
        build("libcuda.so.1", DRIVER, machine.folder.path());
        machine
    }

    /// Puts a copy of libtorch there, and beside it what `make` makes.
    fn with_libtorch(self, make: impl FnOnce(&Path)) -> Self {
        for file in std::fs::read_dir(libtorch()).unwrap().map(|file| file.unwrap()) {
            let copy = self.folder.path().join(file.file_name());
            std::fs::hard_link(file.path(), &copy)
                .or_else(|_| std::fs::copy(file.path(), &copy).map(drop))
                .unwrap();
        }
        make(self.folder.path());
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pg_recommend_trainer"));
        let mut folders = OsString::from(self.folder.path());
        folders.push(":");
        folders.push(libtorch());
        command.arg("--check").env("LD_LIBRARY_PATH", folders);
        command
    }

    fn setup(&self) -> Setup {
        setup_of(&mut self.command())
    }
}

/// Where the trainer that is tested finds libtorch.
fn libtorch() -> OsString {
    let mut folder = std::env::var_os("LIBTORCH").expect("LIBTORCH says where libtorch is, as for the build");
    folder.push("/lib");
    folder
}

fn setup_of(command: &mut Command) -> Setup {
    let output = command.output().expect("the trainer starts");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let [line] = text.lines().collect::<Vec<_>>()[..] else { panic!("one line: {text}") };
    match serde_json::from_str(line).expect("an event") {
        Event::Setup(setup) => setup,
        other => panic!("{other:?}"),
    }
}

/// A shared library from C, with the compiler that links Rust programs.
fn build(name: &str, source: &str, folder: &Path) {
    let file = folder.join(format!("{name}.c"));
    std::fs::write(&file, source).unwrap();
    let status =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(folder.join(name)).arg(&file).status();
    assert!(status.expect("cc is there").success());
}

#[test]
fn versions_and_processors_are_named() {
    let setup = Machine::without_gpu().setup();
    assert_eq!((setup.trainer.as_str(), setup.libtorch.as_str()), (env!("CARGO_PKG_VERSION"), "2.13.0"));
    assert_eq!(setup.threads, std::thread::available_parallelism().unwrap().get());
    assert!(!setup.instructions.is_empty());
}

#[test]
fn gpus_are_named_with_their_memory_though_libtorch_cannot_use_them() {
    let setup = Machine::with_gpus().setup();
    let seen: Vec<_> = setup.gpus.iter().map(|gpu| (gpu.name.as_str(), gpu.memory_bytes)).collect();
    assert_eq!(seen, [("Test GPU 0", 8 << 30), ("Test GPU 1", 16 << 30)]);
    assert!(setup.gpus.iter().all(|gpu| gpu.free_bytes.is_none()));
    let reason = setup.no_gpu.expect("libtorch for the CPU cannot use a GPU");
    let folder = std::fs::canonicalize(libtorch()).unwrap();
    assert!(reason.contains(&format!("no libtorch_cuda.so in {}", folder.display())), "{reason}");
    assert!(setup.hint.unwrap().contains("reco.libtorch_path"));
}

#[test]
fn a_driver_that_fails_speaks_for_itself() {
    let setup = setup_of(Machine::with_gpus().command().env("FAKE_CUDA_ERROR", "100"));
    assert!(setup.gpus.is_empty());
    let reason = setup.no_gpu.unwrap();
    assert!(reason.contains("no CUDA-capable device is detected (CUDA error 100)"), "{reason}");
}

#[test]
fn a_cuda_library_that_cannot_be_loaded_says_why() {
    let machine = Machine::with_gpus()
        .with_libtorch(|at| std::fs::write(at.join("libtorch_cuda.so"), "no library").unwrap());
    let reason = machine.setup().no_gpu.unwrap();
    assert!(reason.starts_with("libtorch_cuda.so cannot be loaded: "), "{reason}");
    assert!(reason.contains(&machine.folder.path().display().to_string()), "{reason}");
}

/// A CUDA library that only says that it was loaded.
fn build_cuda_library(folder: &Path) {
    let source = r#"
        #include <stdio.h>
        __attribute__((constructor)) static void loaded(void) { fputs("loaded\n", stderr); }
    "#;
    build("libtorch_cuda.so", source, folder);
}

#[test]
fn a_cuda_library_is_loaded_where_a_gpu_is() {
    let machine = Machine::with_gpus().with_libtorch(build_cuda_library);
    let output = machine.command().output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "loaded\n");
    assert_eq!(machine.setup().no_gpu.unwrap(), "libtorch finds no CUDA device, though the driver does");
}

#[test]
fn a_machine_without_a_driver_does_not_load_the_cuda_library() {
    if Path::new("/dev/nvidiactl").exists() {
        return; // The real driver would be found.
    }
    let machine = Machine::without_gpu().with_libtorch(build_cuda_library);
    assert!(machine.command().output().unwrap().stderr.is_empty());
    let setup = machine.setup();
    assert_eq!((setup.gpus.len(), setup.no_gpu.as_deref()), (0, Some("there is no NVIDIA driver")));
    assert_eq!(setup.hint, None, "nothing is wrong there");
}
