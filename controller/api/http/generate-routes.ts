/**
 * The routes that generate. A request is admitted, checked, run and answered; it ends early when its client goes away.
 */
import { randomUUID } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ServiceError, toServiceError } from '../../errors.ts';
import type { Inference, Served } from '../../gateway/inference.ts';
import type { AnswerHead } from '../answers/answer.ts';
import { anthropicErrors, type ErrorFormat, openaiErrors, responseErrors } from '../answers/error-format.ts';
import { EventStream } from '../answers/event-stream.ts';
import type { Plan } from '../answers/plan.ts';
import { planChat } from '../chat/chat-completions.ts';
import { planCompletion } from '../completions/completions.ts';
import { modelBody } from '../fields/common-body.ts';
import type { JsonBody } from '../fields/json-body.ts';
import { resolveModelName } from '../fields/model-name.ts';
import { readBody } from '../fields/read-body.ts';
import { planMessage } from '../messages/messages.ts';
import { planResponse } from '../responses/plan-response.ts';
import { addResponseRoutes } from '../responses/response-routes.ts';
import { ResponseStore } from '../responses/response-store.ts';
import { clientOf } from './client.ts';

/** How an API's requests are read, and its errors written. */
interface Dialect {
  readonly idPrefix: string;
  readonly plan: (body: unknown, served: Served, head: AnswerHead, signal: AbortSignal) => Promise<Plan>;
  readonly errors: ErrorFormat;
}

export function addGenerateRoutes(app: FastifyInstance, inference: Inference): void {
  const add = (path: string, dialect: Dialect): void => {
    const { errors } = dialect;
    app.post(path, { config: { errors } }, (request, reply) => answer(request, reply, inference, dialect));
  };
  add('/v1/chat/completions', { idPrefix: 'chatcmpl-', plan: planChat, errors: openaiErrors });
  add('/v1/completions', { idPrefix: 'cmpl-', plan: planCompletion, errors: openaiErrors });
  const responses = new ResponseStore();
  add('/v1/responses', {
    idPrefix: 'resp_',
    plan: (...request) => planResponse(...request, responses),
    errors: responseErrors,
  });
  addResponseRoutes(app, responses);
  add('/v1/messages', { idPrefix: 'msg_', plan: planMessage, errors: anthropicErrors });
}

async function answer(
  request: FastifyRequest,
  reply: FastifyReply,
  inference: Inference,
  { idPrefix, plan, errors }: Dialect,
): Promise<unknown> {
  const events = new EventStream(reply);
  try {
    return await inference.admit(null, async (controller) => {
      abortWhenClientLeaves(reply, controller);
      const head: AnswerHead = {
        id: `${idPrefix}${randomUUID()}`,
        created: Math.floor(Date.now() / 1000),
        model: resolveModelName(readBody(modelBody, request.body).model ?? null, inference),
        system_fingerprint: `fp_${inference.model.digest.slice(0, 12)}`,
      };
      const served = { model: inference.model, text: inference.text, client: clientOf(request) };
      const planned = await plan(request.body, served, head, controller.signal);
      (request.body as JsonBody).forget();
      if (planned.streamed) {
        events.open();
        await answerStream(planned, inference, request.id, controller, events);
        return reply;
      }
      return answerDocument(planned, inference, request.id, controller);
    });
  } catch (error) {
    // Errors before the headers have a status of their own; later ones are sent as an event.
    if (!events.started) {
      events.cancel();
      throw error;
    }
    const failure = toServiceError(error);
    if (failure.code === 'INTERNAL') request.log.error({ err: failure.cause ?? failure }, 'a stream failed');
    const { name, data } = errors.event(failure);
    events.write(JSON.stringify(data), name);
    events.close();
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
