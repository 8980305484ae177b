//! Comparisons on a machine that is shared and noisy: the targets take turns, and what is quoted is the median over the
//! rounds, for ratios the median of each round's own ratio.

use std::cell::Cell;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::time::Instant;

use crate::Result;
use crate::client::{self, Measurement, Target, Window};

/// How often and how long.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) window: Window,
}

impl Plan {
    /// What a figure deserves; a quick one shows whether all works, and is within some percent.
    pub(crate) fn new(quick: bool) -> Self {
        let (rounds, warm_up, measured) = if quick { (3, 100, 500) } else { (7, 300, 1500) };
        let window = Window { warm_up: Duration::from_millis(warm_up), measured: Duration::from_millis(measured) };
        Self { rounds, window }
    }

    /// The same with longer windows, for what happens only some dozens of times in a second.
    pub(crate) fn longer(self) -> Self {
        Self { window: Window { measured: self.window.measured * 3, ..self.window }, ..self }
    }
}

/// What one target showed, round by round.
pub(crate) struct Series(Vec<Measurement>);

/// Drives the targets in turn.
pub(crate) async fn interleaved<const N: usize>(targets: [&Target; N], plan: Plan) -> Result<[Series; N]> {
    let mut series = [const { Series(Vec::new()) }; N];
    for _ in 0..plan.rounds {
        for (target, series) in targets.iter().zip(&mut series) {
            series.0.push(client::run(target, plan.window).await?);
        }
    }
    Ok(series)
}

impl Series {
    /// What was measured otherwise than in turns with nothing else.
    pub(crate) const fn of(rounds: Vec<Measurement>) -> Self {
        Self(rounds)
    }

    /// The median of something measured.
    pub(crate) fn median(&self, of: impl Fn(&Measurement) -> f64) -> f64 {
        median(self.0.iter().map(of).collect())
    }

    /// The median of its ratio to what the other target showed in the same round.
    pub(crate) fn ratio(&self, to: &Self, of: impl Fn(&Measurement) -> f64) -> f64 {
        median(self.0.iter().zip(&to.0).map(|(mine, theirs)| of(mine) / of(theirs)).collect())
    }

    /// A remark for a line on the slowest, so that it can be told from the usual.
    pub(crate) fn p50(&self) -> String {
        format!("p50 {:.0} us", self.median(|seen| seen.p50))
    }

    /// A remark where the server was not the bottleneck, so that its rate says less than its CPU time does.
    pub(crate) fn remark(&self) -> Option<String> {
        let (server, client) = (self.median(|seen| seen.server_share), self.median(|seen| seen.client_share));
        (server < 0.95).then(|| {
            format!(
                "not saturated: the server had {:.0}% of its core, the client {:.0}%",
                server * 100.0,
                client * 100.0
            )
        })
    }
}

/// Lets each item be worked on without a pause. Says how often in a second that was in all, and what became of the items.
pub(crate) async fn repeat<T, F>(items: Vec<T>, window: Window, work: impl Fn(T) -> F) -> Result<(f64, Vec<T>)>
where
    F: Future<Output = Result<T>>,
{
    repeat_while(items, window, |_| true, work).await
}

/// The same where work may run out: the window ends for all as soon as there is no more for one.
pub(crate) async fn repeat_while<T, F>(
    items: Vec<T>,
    window: Window,
    more: impl Fn(&T) -> bool,
    work: impl Fn(T) -> F,
) -> Result<(f64, Vec<T>)>
where
    F: Future<Output = Result<T>>,
{
    let begin = Instant::now() + window.warm_up;
    let end = &Cell::new(begin + window.measured);
    let (more, work) = (&more, &work);
    let done = try_join_all(items.into_iter().map(|mut item| async move {
        let mut count = 0_u32;
        while Instant::now() < end.get() {
            if !more(&item) {
                end.set(Instant::now());
                break;
            }
            item = work(item).await?;
            count += u32::from((begin..end.get()).contains(&Instant::now()));
        }
        Result::Ok((count, item))
    }))
    .await?;
    let measured = end.get().saturating_duration_since(begin);
    if measured.is_zero() {
        return Err("there was nothing left to do before the window began".into());
    }
    let (counts, items): (Vec<_>, Vec<_>) = done.into_iter().unzip();
    Ok((f64::from(counts.iter().sum::<u32>()) / measured.as_secs_f64(), items))
}

/// The middle of some values; of an even number, the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}
