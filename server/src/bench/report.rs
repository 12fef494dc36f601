//! What a bench found: figures, budgets that pass or miss, as a table or as JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::generate::Figures;

/// A share of a core per call that is to be kept now.
const CPU_BUDGET_PERCENT: f64 = 0.10;

/// Resident memory per call that is to be kept now.
const RSS_BUDGET_KIB: f64 = 100.0;

/// All figures of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Calls at once, each PCMU both ways at 50 packets a second.
    pub calls: usize,
    /// How long was measured.
    pub seconds: f64,
    /// Shards of the engine.
    pub shards: usize,
    /// Processor time of the server's process per call, in percent of one core.
    pub cpu_percent_per_call: f64,
    /// Resident memory per call in KiB, less what the process had before the first; absent where the system does not
    /// tell.
    pub rss_kib_per_call: Option<f64>,
    /// What the callers found. The network being loopback, their round trip is what the server adds.
    pub callers: Figures,
    /// What the legs found.
    pub legs: Legs,
    /// How the engine fared.
    pub engine: Engine,
    /// Processes that wanted a core, averaged over the last minute, at the end; absent where the system does not tell.
    pub load_average: Option<f64>,
    /// Cores of this machine.
    pub cores: usize,
    /// The figures that have a budget.
    pub budgets: Vec<Budget>,
}

/// What the legs found.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Legs {
    /// Packets of the callers that did not come.
    pub lost: i64,
    /// Packets that came after their place was past.
    pub late: u64,
    /// Datagrams lost between socket and leg.
    pub dropped: u64,
    /// The worst judgement of what was heard, 1 to 4.5.
    pub mos_min: f64,
}

/// How the engine fared while it was measured.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Engine {
    /// Ticks, of all shards.
    pub ticks: u64,
    /// Ticks that began after the next was due.
    pub overruns: u64,
    /// Ticks that were left out.
    pub skipped_ticks: u64,
    /// The latest start of a tick.
    pub late_ms_max: f64,
    /// The longest work of a tick, by the wall clock.
    pub work_ms_max: f64,
}

/// A figure that should be at most so much.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Budget {
    /// What it is.
    pub name: &'static str,
    /// What was measured.
    pub figure: f64,
    /// What it should be at most.
    pub at_most: f64,
    /// Whether it is.
    pub is_kept: bool,
}

impl Budget {
    fn new(name: &'static str, figure: f64, at_most: f64) -> Self {
        Self { name, figure, at_most, is_kept: figure <= at_most }
    }
}

impl Report {
    /// Judges the figures that have a budget.
    pub fn judged(self) -> Self {
        let cpu = Budget::new("processor per call, % of a core", self.cpu_percent_per_call, CPU_BUDGET_PERCENT);
        let rss = self.rss_kib_per_call.map(|kib| Budget::new("memory per call, KiB", kib, RSS_BUDGET_KIB));
        Self { budgets: [Some(cpu), rss].into_iter().flatten().collect(), ..self }
    }

    /// Writes the figures for people.
    ///
    /// # Errors
    /// When `out` takes nothing.
    pub fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { calls, seconds, shards, callers, legs, engine, .. } = self;
        writeln!(out, "{calls} PCMU echo calls for {seconds} s on {shards} of {} cores", self.cores)?;
        if let Some(load) = self.load_average {
            writeln!(out, "load average of the machine: {load:.2}")?;
        }
        writeln!(out)?;
        for Budget { name, figure, at_most, is_kept } in &self.budgets {
            let verdict = if *is_kept { "pass" } else { "MISS" };
            writeln!(out, "{verdict}  {name:<36} {figure:>9.3}   budget {at_most}")?;
        }
        let share = callers.lost as f64 / callers.sent.max(1) as f64 * 100.0;
        let rows = [
            ("sounds sent", callers.sent as f64),
            ("sounds that did not come back", callers.lost as f64),
            ("of them, %", share),
            ("packets of the echo missing", callers.missing as f64),
            ("added delay p50, ms", callers.round_trip_ms.p50),
            ("added delay p95, ms", callers.round_trip_ms.p95),
            ("added delay p99, ms", callers.round_trip_ms.p99),
            ("jitter p95, ms", callers.jitter_ms.p95),
            ("the generator sent late by p99, ms", callers.sent_late_ms.p99),
            ("late packets at the legs", legs.late as f64),
            ("datagrams dropped at the legs", legs.dropped as f64),
            ("worst MOS of a leg", legs.mos_min),
            ("ticks", engine.ticks as f64),
            ("ticks after the next was due", engine.overruns as f64),
            ("ticks left out", engine.skipped_ticks as f64),
            ("latest start of a tick, ms", engine.late_ms_max),
            ("longest work of a tick, ms", engine.work_ms_max),
        ];
        for (name, figure) in rows {
            writeln!(out, "      {name:<36} {figure:>9.3}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_kept_at_its_budget_and_missed_above() {
        assert!(Budget::new("x", 0.1, 0.1).is_kept);
        assert!(!Budget::new("x", 0.101, 0.1).is_kept);
        assert!(!Budget::new("x", f64::NAN, 0.1).is_kept);
    }
}
