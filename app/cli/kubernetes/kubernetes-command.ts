import { Command } from 'commander';
import { crdsCommand } from './crds.ts';
import { prepareCommand } from './prepare.ts';
import { releaseCommand } from './release.ts';

/** `conclave kubernetes …`: what an installation by Helm runs for itself. */
export function kubernetesCommand(): Command {
  const command = new Command('kubernetes').description('What an installation on Kubernetes runs for itself.');
  for (const sub of [prepareCommand(), crdsCommand(), releaseCommand()])
    command.addCommand(sub.copyInheritedSettings(command));
  return command;
}
