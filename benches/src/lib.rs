//! What every bench prints: a figure, its budget, pass or miss; and what this process has used so far.

use std::{fs, time::Duration};

/// A table of figures against their budgets.
#[derive(Debug, Default)]
pub struct Budgets {
    misses: usize,
}

impl Budgets {
    /// Prints a heading.
    #[expect(clippy::print_stdout, reason = "a bench prints its figures")]
    pub fn section(&mut self, title: &str) {
        println!("\n{title}");
    }

    /// Prints a figure that should be at most `budget`.
    #[expect(clippy::print_stdout, reason = "a bench prints its figures")]
    pub fn at_most(&mut self, what: &str, figure: f64, budget: f64, unit: &str) {
        let pass = figure <= budget;
        self.misses += usize::from(!pass);
        println!("  {:<4}  {what:<52} {figure:>9.3} {unit:<6} budget {budget}", if pass { "pass" } else { "MISS" });
    }

    /// Prints a figure that has no budget.
    #[expect(clippy::print_stdout, reason = "a bench prints its figures")]
    pub fn figure(&mut self, what: &str, figure: f64, unit: &str) {
        println!("        {what:<52} {figure:>9.3} {unit}");
    }

    /// Prints a remark.
    #[expect(clippy::print_stdout, reason = "a bench prints its figures")]
    pub fn note(&mut self, text: &str) {
        println!("  {text}");
    }

    /// How many budgets were missed.
    pub fn misses(&self) -> usize {
        self.misses
    }
}

/// The value below which `percent` of the values lie; zero for none.
pub fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or(0.0)
}

/// Processor time that this process has used, user and system; zero where `/proc` is absent.
pub fn cpu() -> Duration {
    cpu_of(std::process::id())
}

/// Processor time that a process has used, user and system; zero where `/proc` is absent.
pub fn cpu_of(process: u32) -> Duration {
    // proc(5): fields 14 and 15 in clock ticks, which Linux fixes at 100 a second for user space.
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Resident memory of this process in MiB; zero where `/proc` is absent.
pub fn resident_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1))
        .and_then(|kib| kib.parse::<f64>().ok())
        .map_or(0.0, |kib| kib / 1024.0)
}
