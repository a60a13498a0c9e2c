//! Compresses answers for clients that accept gzip if the switch `gzip_answers` is on. Close compresses; the simulator
//! saves the time by default.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::answer::Answer;
use crate::Simulator;

/// Minimum bytes for which compression pays off.
const WORTHWHILE: usize = 500;

/// Returns true if an `accept-encoding` header allows gzip.
pub fn accepts_gzip(header: &str) -> bool {
    header.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        matches!(parts.next(), Some("gzip" | "*"))
            && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

/// Compresses the answer if the switch is on and it is large enough.
pub fn compressed(simulator: &Simulator, mut answer: Answer) -> Answer {
    let coded = answer.headers.iter().any(|(name, _)| *name == "content-encoding");
    if coded || answer.body.len() < WORTHWHILE || !simulator.world.read().switches.gzip_answers {
        return answer;
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(answer.body.len() / 4), Compression::fast());
    encoder.write_all(&answer.body).expect("memory can be written");
    answer.body = encoder.finish().expect("memory can be written");
    answer.headers.push(("content-encoding", "gzip".to_owned()));
    answer.headers.push(("vary", "accept-encoding".to_owned()));
    answer
}
