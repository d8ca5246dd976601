//! Processes, told apart by start time so that a pid used again is not taken for the old one.

use crate::installation::output;
use crate::wait::{wait_for, wait_until};
use std::process::Command;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    started: String,
}

struct Status {
    name: String,
    state: String,
    parent: i32,
    started: String,
    nice: String,
}

impl Status {
    fn of(pid: i32) -> Option<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (before, after) = text.rsplit_once(')')?;
        let fields: Vec<_> = after.split_whitespace().collect();
        Some(Self {
            name: before.split_once('(')?.1.to_owned(),
            state: (*fields.first()?).to_owned(),
            parent: fields.get(1)?.parse().ok()?,
            started: (*fields.get(19)?).to_owned(),
            nice: (*fields.get(16)?).to_owned(),
        })
    }
}

impl Process {
    /// A living process.
    pub fn of(pid: i32) -> Option<Self> {
        Status::of(pid).map(|status| Self { pid, started: status.started })
    }

    /// The trainer that this backend has started, once it is there.
    pub fn trainer_of(backend: i32) -> Self {
        wait_for("the backend starts a trainer", || {
            Self::children(backend).into_iter().find(|child| {
                // Between fork and exec it still has the server's name.
                Status::of(child.pid).is_some_and(|status| status.name != "postgres")
            })
        })
    }

    /// The children of a process that have not ended.
    pub fn children(parent: i32) -> Vec<Self> {
        let entries = std::fs::read_dir("/proc").expect("/proc is mounted").flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let child = |pid| {
            let status = Status::of(pid)?;
            (status.parent == parent && status.state != "Z").then_some(Self { pid, started: status.started })
        };
        pids.filter_map(child).collect()
    }

    pub fn is_alive(&self) -> bool {
        Status::of(self.pid).is_some_and(|status| status.started == self.started && status.state != "Z")
    }

    /// Its nice value.
    pub fn nice(&self) -> Option<String> {
        Status::of(self.pid).map(|status| status.nice)
    }

    /// How much the kernel prefers it when memory runs out.
    pub fn oom_score_adj(&self) -> Option<String> {
        let text = std::fs::read_to_string(format!("/proc/{}/oom_score_adj", self.pid)).ok()?;
        Some(text.trim().to_owned())
    }

    /// Its limits, as Linux tells them.
    pub fn limits(&self) -> String {
        std::fs::read_to_string(format!("/proc/{}/limits", self.pid)).unwrap_or_default()
    }

    /// Targets of its open descriptors.
    pub fn open_files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(format!("/proc/{}/fd", self.pid)).into_iter().flatten().flatten();
        let targets = entries.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        targets.map(|target| target.display().to_string()).collect()
    }

    /// Its environment.
    pub fn environment(&self) -> Vec<String> {
        let bytes = std::fs::read(format!("/proc/{}/environ", self.pid)).unwrap_or_default();
        let parts = bytes.split(|byte| *byte == 0).filter(|part| !part.is_empty());
        parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect()
    }

    pub fn kill(&self) {
        // The shell's own: the program of that name is in a package that a small system lacks.
        output(Command::new("sh").args(["-c", "kill -9 \"$1\"", "sh"]).arg(self.pid.to_string()));
    }

    pub fn wait_until_gone(&self) {
        wait_until("the process ends", || !self.is_alive());
    }
}
