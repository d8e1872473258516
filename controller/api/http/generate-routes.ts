/**
 * The routes that generate. A request is admitted, checked, run and answered; it ends early when its client goes away.
 */
import { randomUUID } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ServiceError, toServiceError } from '../../errors.ts';
import type { Inference } from '../../gateway/inference.ts';
import type { AnswerHead } from '../answers/answer.ts';
import { EventStream } from '../answers/event-stream.ts';
import type { Plan } from '../answers/plan.ts';
import { planChat } from '../chat/chat-completions.ts';
import { planCompletion } from '../completions/completions.ts';
import { modelBody } from '../fields/common-body.ts';
import type { JsonBody } from '../fields/json-body.ts';
import { readBody } from '../fields/read-body.ts';
import { resolveModelName } from './model-routes.ts';

type Planner = (body: unknown, inference: Inference, head: AnswerHead, signal: AbortSignal) => Promise<Plan>;

export function addGenerateRoutes(app: FastifyInstance, inference: Inference): void {
  app.post('/v1/chat/completions', (request, reply) => answer(request, reply, inference, 'chatcmpl', planChat));
  app.post('/v1/completions', (request, reply) => answer(request, reply, inference, 'cmpl', planCompletion));
}

async function answer(
  request: FastifyRequest,
  reply: FastifyReply,
  inference: Inference,
  prefix: string,
  plan: Planner,
): Promise<unknown> {
  const events = new EventStream(reply);
  try {
    return await inference.admit(null, async (controller) => {
      abortWhenClientLeaves(reply, controller);
      const head: AnswerHead = {
        id: `${prefix}-${randomUUID()}`,
        created: Math.floor(Date.now() / 1000),
        model: resolveModelName(readBody(modelBody, request.body).model ?? null, inference),
        system_fingerprint: `fp_${inference.model.digest.slice(0, 12)}`,
      };
      const planned = await plan(request.body, inference, head, controller.signal);
      (request.body as JsonBody).forget();
      if (planned.streamed) {
        await answerStream(planned, inference, request.id, controller, events);
        return reply;
      }
      return answerDocument(planned, inference, request.id, controller);
    });
  } catch (error) {
    // Errors before the first event have a status of their own; later ones are sent as an event.
    if (!events.started) throw error;
    const failure = toServiceError(error);
    if (failure.code === 'INTERNAL') request.log.error({ err: failure.cause ?? failure }, 'a stream failed');
    events.fail(failure);
    return reply;
  }
}

async function answerDocument(
  plan: Plan,
  inference: Inference,
  requestId: string,
  controller: AbortController,
): Promise<object> {
  const document = plan.document();
  await inference.generateAll(plan.generations, requestId, controller, (prompt, progress) =>
    document.add(prompt, progress),
  );
  return document.toJSON();
}

async function answerStream(
  plan: Plan,
  inference: Inference,
  requestId: string,
  controller: AbortController,
  events: EventStream,
): Promise<void> {
  const { answer: streamed, end } = plan.stream(events);
  await inference.generateAll(plan.generations, requestId, controller, (prompt, progress) =>
    streamed.add(prompt, progress),
  );
  end();
}

function abortWhenClientLeaves({ raw }: FastifyReply, controller: AbortController): void {
  const leave = (): void => {
    if (!raw.writableFinished) controller.abort(new ServiceError('CANCELLED', 'the client went away'));
  };
  // It may have left while its body was read.
  if (raw.destroyed) leave();
  else raw.once('close', leave);
}
