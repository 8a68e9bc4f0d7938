//! Gates and their criteria.

use domain::runbook::{Criterion, Gate, Severity};

use super::{MOST_GATES, MOST_OF_A_KIND, Reader};
use crate::phrase::GateHeading;
use crate::text::{squeeze, text_digest};

impl Reader<'_> {
    /// A gate's heading.
    pub(super) fn gate(&mut self, heading: GateHeading, at: usize) {
        let GateHeading { id, phase, title } = heading;
        let line = self.lines.line(at);
        if let Some(first) = self.out.gate(&id) {
            let message = format!("Gate {id} already has a heading in line {}", first.line);
            self.problem(
                Severity::Error,
                at,
                message,
                "give every gate its own letter; this section was added to the first one",
            );
            return;
        }
        if !self.has_room("gates", self.out.gates.len(), MOST_GATES, at) {
            return;
        }
        // Cannot overflow in practice: a heading takes more than one byte.
        let place = u32::try_from(self.out.gates.len() + 1).unwrap_or(u32::MAX);
        let title = if title.is_empty() { format!("Gate {id}") } else { title };
        self.out.gates.push(Gate { id, phase: phase.unwrap_or(place), title, line });
    }

    /// A bullet of the current acceptance list.
    pub(super) fn criterion(&mut self, text: &str, at: usize) {
        let Some(pending) = &mut self.pending else { return };
        let text = squeeze(text);
        if text.is_empty() {
            return;
        }
        pending.found += 1;
        let Some(gate) = pending.gate.clone() else { return };
        if !self.has_room("criteria", self.out.criteria.len(), MOST_OF_A_KIND, at) {
            return;
        }
        let number = self.count(&gate);
        let digest = text_digest(&text);
        let line = self.lines.line(at);
        self.out.criteria.push(Criterion { id: format!("{gate}.{number}"), gate, text, digest, line });
    }
}
