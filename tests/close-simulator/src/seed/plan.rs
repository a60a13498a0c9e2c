//! The number of objects of a lead, drawn before they are generated, so that every thread knows its ids.

use super::draw::Draw;
use crate::model::Kind;

/// Counts by kind for one lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan([u16; Kind::COUNT]);

impl Plan {
    /// Draws the plan of a lead from the start of its stream.
    pub fn draw(draw: &mut Draw) -> Self {
        let mut plan = Self([0; Kind::COUNT]);
        // An active lead has more of everything.
        let warmth = [0.2, 0.6, 1.0, 1.6, 4.0][draw.tail(1.3, 5) - 1];
        let some = |draw: &mut Draw, mean: f64| draw.about(mean * warmth);
        let contacts = if draw.chance(0.1) { 0 } else { draw.tail(1.8, 40) };
        let opportunities = some(draw, 0.9);
        let tasks = some(draw, 1.2);
        let threads = some(draw, 0.9);
        plan.set(Kind::Lead, 1);
        plan.set(Kind::Created, 1);
        plan.set(Kind::Contact, contacts);
        plan.set(Kind::Opportunity, opportunities);
        plan.set(Kind::Task, tasks);
        plan.set(Kind::TaskCompleted, draw.below(tasks + 1));
        plan.set(Kind::Note, some(draw, 1.6));
        plan.set(Kind::Call, some(draw, 1.6));
        plan.set(Kind::EmailThread, threads);
        plan.set(Kind::Email, (0..threads).map(|_| draw.tail(1.4, 25)).sum());
        plan.set(Kind::Sms, some(draw, 0.5));
        plan.set(Kind::WhatsAppMessage, if draw.chance(0.06) { draw.tail(1.2, 6) } else { 0 });
        plan.set(Kind::Meeting, some(draw, 0.5));
        plan.set(Kind::CustomActivity, some(draw, 0.5));
        plan.set(Kind::LeadStatusChange, some(draw, 0.7));
        plan.set(Kind::OpportunityStatusChange, if opportunities > 0 { some(draw, 0.6) } else { 0 });
        plan.set(Kind::Notification, some(draw, 0.4));
        plan.set(Kind::CustomObject, some(draw, 0.4));
        plan.set(Kind::FormSubmission, usize::from(draw.chance(0.05)));
        plan.set(Kind::ImportUpdate, usize::from(draw.chance(0.04)));
        if draw.chance(0.02) {
            // The lead that was merged into this one: its id is used, but it no longer exists.
            plan.set(Kind::LeadMerge, 1);
            plan.set(Kind::Lead, 2);
        }
        if contacts > 0 && draw.chance(0.15) {
            plan.set(Kind::SequenceSubscription, draw.tail(1.5, contacts.min(3)));
        }
        if plan.count(Kind::Note) > 0 && draw.chance(0.08) {
            plan.set(Kind::CommentThread, 1);
            plan.set(Kind::Comment, draw.tail(1.2, 9));
        }
        plan
    }

    pub fn count(&self, kind: Kind) -> usize {
        usize::from(self.0[kind as usize])
    }

    /// Adds these counts to sums by kind.
    pub fn add_to(&self, sums: &mut [u64; Kind::COUNT]) {
        for (sum, count) in sums.iter_mut().zip(self.0) {
            *sum += u64::from(count);
        }
    }

    fn set(&mut self, kind: Kind, count: usize) {
        self.0[kind as usize] = u16::try_from(count).unwrap_or(u16::MAX);
    }
}
