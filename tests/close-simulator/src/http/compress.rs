//! Answers in gzip for those who accept it, when the switch `gzip_answers` asks for it: Close compresses, a laboratory
//! saves the time.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::answer::Answer;
use crate::Simulator;

/// Bytes below which compression costs more than it saves.
const WORTHWHILE: usize = 500;

/// Whether an `accept-encoding` header lets an answer be gzip.
pub fn accepts_gzip(header: &str) -> bool {
    header.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        matches!(parts.next(), Some("gzip" | "*"))
            && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

/// The answer, compressed if the switch says so and it is worth it.
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
